#!/usr/bin/env bash
# Builds images of Whence: images/build.sh [front-end] [worker] [worker-onnx] [jobs]; without names, all four.
#
# From the environment:
#   BASE_IMAGE     the image with Python that they are made of (images/Dockerfile has the default)
#   REPOSITORY     what precedes their names (whence): whence/front-end, ...
#   TAG            their tag (the version of Whence)
#   BUILDER        docker, podman or buildah; otherwise the first of them that works here
#   BUILD_OPTIONS  more options for it, such as "--build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu"
#   PIP_CONF       a pip.conf that the build needs to reach its index; mounted, in no image
#   CA_FILE        certificates that the build must trust, there as /run/secrets/ca.crt; mounted, in no image
set -euo pipefail
cd "$(dirname "$0")/.."

first_that_works() {
  for builder in docker podman buildah; do
    if "$builder" info >/dev/null 2>&1; then echo "$builder"; return; fi
  done
  echo "no docker, podman or buildah works here; install one of them, or name it by BUILDER" >&2
  return 1
}

builder=${BUILDER:-$(first_that_works)}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' images/Dockerfile)}
options=(
  --file images/Dockerfile
  --build-arg "BASE_IMAGE=$base"
  --label "org.opencontainers.image.version=$version"
  --label "org.opencontainers.image.revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  --label "org.opencontainers.image.created=$(git log -1 --format=%cI 2>/dev/null || echo unknown)"
  --label "org.opencontainers.image.base.name=$base"
)
[ -z "${PIP_CONF:-}" ] || options+=(--secret "id=pip.conf,src=$PIP_CONF")
[ -z "${CA_FILE:-}" ] || options+=(--secret "id=ca.crt,src=$CA_FILE")
[ "$builder" != buildah ] || options+=(--layers)
read -ra more <<<"${BUILD_OPTIONS:-}"

[ $# -gt 0 ] || set -- front-end worker worker-onnx jobs
for target; do
  "$builder" build "${options[@]}" "${more[@]}" --target "$target" --tag "${REPOSITORY:-whence}/$target:${TAG:-$version}" .
done
