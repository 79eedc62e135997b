#!/usr/bin/env bash
# Fuzzes what reads input from outside: every Go target for FUZZTIME (1m), one
# after the other, then mail, times and parquet files with FUZZEXAMPLES (20000)
# examples each. Input that fails is told, Go's is kept in testdata/fuzz as well.
set -euo pipefail
cd "$(dirname "$0")/.."

for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do
  for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file"); do
    # Without a limit, making interesting input smaller takes most of the time.
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" -fuzzminimizetime 1s
  done
done
REFIT_FUZZ_EXAMPLES=${FUZZEXAMPLES:-20000} .venv/bin/python -m pytest -q docker/data-prep/tests/test_fuzz.py
