#!/usr/bin/env bash
# Builds the images. Settings are variables of the environment:
#   REGISTRY   what the names begin with (dev.local)
#   IMAGE_TAG  what they end with (v1.0)
#   PLATFORM   linux/amd64 or linux/arm64 (this machine's). Both, with a comma between them, need PUSH=1 and get one
#              name; to build the workloads for a foreign one the engine must be able to run it (binfmt and QEMU)
#   PUSH       1 pushes what was built; whoever calls has logged in to the registry (0)
#   ENGINE     docker, podman or buildah, by name or path (the first that works)
#   BASE       what the images of the workloads are built from, and where the others' certificates come from
#              (python:3.11-slim-bookworm)
#   ONLY       some images, by the ends of their names: ONLY='refit train mlflow-ops' (all)
set -euo pipefail
cd "$(dirname "$0")/.."

stages=(prepare features train tune register)
workloads=(data-prep ray-train mlflow-ops)
registry=${REGISTRY:-dev.local} tag=${IMAGE_TAG:-v1.0} base=${BASE:-python:3.11-slim-bookworm} push=${PUSH:-0} only=${ONLY:-}

say() { printf 'images: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

find_engine() {
  local candidate
  for candidate in ${ENGINE:-docker podman buildah}; do
    if "$candidate" version >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no answer from ${ENGINE:-docker, podman or buildah}: install and start one, or name it with ENGINE=/path/to/it"
}

# wanted says whether ONLY leaves the image in.
wanted() { [[ -z $only || " ${only//,/ } " == *" $1 "* ]]; }

# full_name prints the name that manifests know an image by.
full_name() {
  local prefix=refit-
  if [ "$1" = refit ]; then prefix=; fi
  printf '%s/%s%s:%s' "$registry" "$prefix" "$1" "$tag"
}

# image prints the name of the image on the platform, which is in its tag only where several are built.
image() {
  full_name "$1"
  if [ "${#platforms[@]}" -gt 1 ]; then printf -- '-%s' "${2//\//-}"; fi
}

build() { # build IMAGE DOCKERFILE PLATFORM [ARGUMENT...]
  local name=$1 file=$2 platform=$3
  shift 3
  say "$(image "$name" "$platform")"
  "$engine" build --platform "$platform" --file "docker/$file/Dockerfile" --tag "$(image "$name" "$platform")" \
    --build-arg "REVISION=$revision" \
    --label "org.opencontainers.image.title=refit $name" \
    --label "org.opencontainers.image.version=$tag" \
    --label "org.opencontainers.image.revision=$revision" \
    --label org.opencontainers.image.source=https://refit.dev \
    --label org.opencontainers.image.licenses=Apache-2.0 \
    "$@" . >"$log" 2>&1 || { cat "$log" >&2; die "$(image "$name" "$platform") did not build"; }
}

# build_go links each binary on this machine, for whatever platform, and puts it into an image of its own.
build_go() {
  local platform=$1 name packages=() images=()
  for name in "${stages[@]}"; do
    if wanted "$name"; then images+=("$name") packages+=("./functions/$name/cmd/$name"); fi
  done
  if wanted refit; then images+=(refit) packages+=(./cmd/refit ./cmd/refit-source); fi
  if [ "${#images[@]}" -eq 0 ]; then return; fi

  mkdir -p "build/$platform"
  CGO_ENABLED=0 GOOS=linux GOARCH=${platform#linux/} \
    go build -trimpath -ldflags "-s -w -X refit.dev/cli.commit=$revision" -o "build/$platform/" "${packages[@]}"
  for name in "${images[@]}"; do
    local file=function
    if [ "$name" = refit ]; then file=refit; fi
    build "$name" "$file" "$platform" --build-arg "BASE=$base" --build-arg "PLATFORM=$platform" --build-arg "STAGE=$name"
  done
}

# build_python makes what the workloads share first; it stays here, its layers travel with theirs.
build_python() {
  local platform=$1 name images=()
  for name in "${workloads[@]}"; do
    if wanted "$name"; then images+=("$name"); fi
  done
  if [ "${#images[@]}" -eq 0 ]; then return; fi

  build python python "$platform" --build-arg "BASE=$base"
  for name in "${images[@]}"; do
    build "$name" "$name" "$platform" --build-arg "PYTHON=$(image python "$platform")"
  done
}

# publish pushes an image, and those of several platforms under one name.
publish() {
  local name=$1 platform part list parts=() plain=()
  list=$(full_name "$name")
  # docker push speaks HTTP to a registry of this machine by itself, docker manifest must be told.
  if [[ $registry =~ ^(localhost|127\.) ]]; then plain=(--insecure); fi
  for platform in "${platforms[@]}"; do
    part=$(image "$name" "$platform")
    parts+=("$part")
    say "push $part"
    "$engine" push --quiet "$part" >/dev/null
  done
  if [ "${#parts[@]}" -eq 1 ]; then return; fi

  say "push $list"
  "$engine" manifest rm "$list" >/dev/null 2>&1 || true
  case ${engine##*/} in
    docker)
      "$engine" manifest create ${plain[@]+"${plain[@]}"} "$list" "${parts[@]}" >/dev/null
      "$engine" manifest push ${plain[@]+"${plain[@]}"} --purge "$list" >/dev/null
      ;;
    *)
      "$engine" manifest create "$list" "${parts[@]}" >/dev/null
      "$engine" manifest push --all "$list" "docker://$list" >/dev/null
      ;;
  esac
}

main() {
  local name platform
  for name in ${only//,/ }; do
    [[ " refit ${stages[*]} ${workloads[*]} " == *" $name "* ]] || die "no image $name: ONLY takes refit ${stages[*]} ${workloads[*]}"
  done
  for platform in "${platforms[@]}"; do
    [[ $platform =~ ^linux/(amd64|arm64)$ ]] || die "no platform $platform: PLATFORM takes linux/amd64 and linux/arm64"
  done
  for platform in "${platforms[@]}"; do
    build_go "$platform"
    build_python "$platform"
  done
  if [ "$push" = 1 ]; then
    for name in refit "${stages[@]}" "${workloads[@]}"; do
      if wanted "$name"; then publish "$name"; fi
    done
  fi
}

engine=$(find_engine)
# Docker's own builder, which sees the images of this machine, and plain images, which a manifest can list.
export BUILDX_BUILDER=default BUILDX_NO_DEFAULT_ATTESTATIONS=1
IFS=, read -ra platforms <<<"${PLATFORM:-linux/$(go env GOHOSTARCH)}"
if [ "${#platforms[@]}" -gt 1 ] && [ "$push" != 1 ]; then
  die "PLATFORM names ${#platforms[@]} platforms, which only a registry holds under one name: set PUSH=1 or name one"
fi
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
main
