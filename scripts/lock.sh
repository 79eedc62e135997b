#!/usr/bin/env bash
# Makes the Python lock files from the .in files: first the union, which is the
# environment of one machine, then what the images hold, at the same versions,
# and what the benchmarks run beside refit.
# Versions that are locked already stay; pass --upgrade for newer ones.
# --check writes nothing and fails when a lock file is out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

check=
if [ "${1:-}" = --check ]; then
  check=1
  shift
fi
lock() { # lock FOLDER [ARGUMENT...]
  local folder=$1 target=$1/requirements.txt
  shift
  if [ -n "$check" ]; then
    target=$(mktemp)
    cp "$folder/requirements.txt" "$target"
  fi
  # No header and no index: a lock file names no machine.
  uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
    --no-emit-index-url --no-annotate "$folder/requirements.in" --output-file "$target" "$@" >/dev/null
  if [ -n "$check" ]; then
    cmp "$folder/requirements.txt" "$target" || { echo "lock: $folder/requirements.txt is out of date, run scripts/lock.sh" >&2; exit 1; }
    rm "$target"
  fi
}

lock docker "$@"
lock docker/python --constraint docker/requirements.txt "$@"
lock test/bench/latency/others "$@"
