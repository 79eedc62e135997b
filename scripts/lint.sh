#!/usr/bin/env bash
# Checks style and types: gofmt, go vet and golangci-lint (built once into
# .tools) in every module, ruff and mypy over all Python. Ends at the first
# tool that finds something.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.12.0
linter=$PWD/.tools/golangci-lint-$version
config=$PWD/.golangci.yml

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
modules=$(go list -m -f '{{.Dir}}')
for module in $modules; do
  (cd "$module" && go vet ./... && "$linter" run --config "$config" ./...)
done
.venv/bin/ruff check docker datasets pipeline test scripts
.venv/bin/ruff format --check docker datasets pipeline test scripts
# One call each: the tests folders have files of the same name.
for code in docker/contract docker/data-prep docker/ray-train docker/mlflow-ops pipeline datasets/make.py test/platformtest/sample.py; do
  .venv/bin/mypy --strict "$code"
done
