# refit: drop a parquet, get a registered model, or the reason why not.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash

MODULES  := . events workload stage $(addprefix functions/,prepare features train tune register)
PYTHON   := .venv/bin/python
PACKAGES := docker/contract docker/data-prep docker/ray-train docker/mlflow-ops
DATA     := datasets/processed/emails/all_emails.parquet

.PHONY: help setup run-pipeline compile-pipeline build-images up test test-go test-python test-e2e test-images test-cluster lint fuzz bench bench-cluster dataset lock clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/\1\t\2/' | expand -t 16

setup: ## Set up Python and the refit binary in project folders
	@scripts/setup.sh

run-pipeline: setup ## Run the default data to a registered model; with KFP_HOST=URL, start the pipeline on Kubeflow
	$(if $(KFP_HOST),KFP_HOST="$(KFP_HOST)" $(PYTHON) pipeline/submit.py,bin/refit run $(DATA)) $(ARGS)

compile-pipeline: setup ## Compile the Kubeflow pipeline for the images at REGISTRY and IMAGE_TAG
	REGISTRY="$(REGISTRY)" IMAGE_TAG="$(IMAGE_TAG)" $(PYTHON) pipeline/spam_detection_pipeline.py $(ARGS)

build-images: ## Build the images at IMAGE_TAG; scripts/build_images.sh lists REGISTRY and the other settings
	@scripts/build_images.sh

up: setup ## Start the platform on this machine and leave it running
	bin/refit up $(ARGS)

test: setup test-go test-python test-e2e ## Run all tests, an end-to-end run included

test-go: setup ## Run the Go tests with the race detector
	go test -race -timeout 15m $(addsuffix /...,$(addprefix ./,$(filter-out .,$(MODULES)))) ./cli/... ./cmd/... ./config/... ./platform/... ./test/guard/... ./test/conformance/...

test-python: setup ## Run the Python tests
	$(PYTHON) -m pytest -q

test-e2e: setup ## Run 600 real mails through the whole platform
	go test -race -timeout 15m -count=1 -v ./test/e2e/...

test-images: setup ## Try the images that make build-images built, and the compiled pipeline in them
	go test -timeout 20m -count=1 -v ./test/images/... ./test/pipeline/...

test-cluster: setup ## Prove refit on the cluster of KUBECONFIG, which has the operators and the images
	go test -timeout 40m -count=1 -parallel 6 -v ./test/cluster/...

lint: setup ## Check style and types, Go and Python
	scripts/lint.sh

fuzz: setup ## Fuzz what reads input from outside, each Go target for FUZZTIME, Python with FUZZEXAMPLES
	FUZZTIME="$(FUZZTIME)" FUZZEXAMPLES="$(FUZZEXAMPLES)" scripts/fuzz.sh

bench: setup ## Measure on this machine and kill 200 times, half an hour when it is quiet; the table belongs into docs/benchmarks.md
	@mkdir -p build && rm -f build/bench.jsonl
	REFIT_KILLS=200 go test -timeout 60m -count=1 -v -run 'TestRandomKills$$' ./test/chaos
	REFIT_BENCH_TABLE=$(CURDIR)/build/bench.jsonl go test -p 1 -timeout 120m -count=1 -run '^$$' -bench . -benchtime 1x \
		$$(go list ./test/bench/... | grep -v /cluster$$); \
		status=$$?; go run ./test/bench/show <build/bench.jsonl; exit $$status

bench-cluster: setup ## Measure on the cluster of KUBECONFIG; results belong into docs/benchmarks.md
	@mkdir -p build && rm -f build/bench-cluster.jsonl
	REFIT_BENCH_TABLE=$(CURDIR)/build/bench-cluster.jsonl go test -timeout 60m -count=1 -run '^$$' -bench . -benchtime 1x ./test/bench/cluster; \
		status=$$?; go run ./test/bench/show <build/bench-cluster.jsonl; exit $$status

dataset: setup ## Make the default data again from its origin (needs npm)
	$(PYTHON) datasets/make.py

lock: setup ## Resolve the Python lock files again
	scripts/lock.sh

clean: ## Remove what was built and all data of runs
	rm -rf bin build .refit .venv .tools
	find . -name __pycache__ -prune -exec rm -rf {} +
