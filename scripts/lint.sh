#!/usr/bin/env bash
# Checks style and types: gofmt, go vet, golangci-lint (built once into .tools),
# ruff and mypy.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.12.0
linter=.tools/golangci-lint-$version

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  printf 'not formatted, run gofmt -w on:\n%s\n' "$unformatted" >&2
  exit 1
fi
if [ ! -x "$linter" ]; then
  mkdir -p .tools
  GOWORK=off GOBIN="$PWD/.tools" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
  mv .tools/golangci-lint "$linter"
fi
for module in $(go list -m -f '{{.Dir}}'); do
  (cd "$module" && go vet ./... && "$OLDPWD/$linter" run --config "$OLDPWD/.golangci.yml" ./...)
done
.venv/bin/ruff check docker datasets
.venv/bin/ruff format --check docker datasets
for package in docker/contract/refit_contract docker/data-prep/refit_data_prep docker/ray-train/refit_ray_train docker/mlflow-ops/refit_mlflow_ops; do
  .venv/bin/mypy "$package"
done
