#!/usr/bin/env bash
# Sets up everything in project folders: the locked Python environment in .venv
# and the refit binary in bin/. Needs Go and Python 3.11 to 3.13; asks nothing,
# needs no root. Run again, it only does what is out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die 'no Python 3.11, 3.12 or 3.13 found: install one, or name it with PYTHON=/path/to/python3'
}

# find_uv prints the path of uv: the one on the PATH, or one of our own from
# the package index.
find_uv() {
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    command -v uv
    return
  fi
  if [ ! -x .tools/bin/uv ]; then
    say 'installing uv into .tools'
    "$python" -m venv .tools >&2 || die "$python cannot make a virtual environment: install its venv module"
    .tools/bin/pip install --quiet --require-hashes -r scripts/uv.txt >&2
  fi
  printf '%s/.tools/bin/uv\n' "$PWD"
}

set_up_python() {
  local lock=docker/requirements.txt stamp=.venv/refit-requirements.txt
  if cmp -s "$lock" "$stamp"; then return; fi
  python=$(find_python)
  local uv
  uv=$(find_uv)
  say "installing the locked Python environment into .venv ($("$python" --version), about 2 GB)"
  "$uv" venv --quiet --clear --python "$python" .venv
  "$uv" pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r "$lock"
  cp "$lock" "$stamp"
}

set_up_go() {
  command -v go >/dev/null || die 'Go is missing: install Go 1.26 or later'
  say 'building bin/refit'
  go build -ldflags "-X refit.dev/cli.commit=$(git rev-parse HEAD 2>/dev/null || true)" -o bin/refit ./cmd/refit
}

set_up_python
set_up_go
