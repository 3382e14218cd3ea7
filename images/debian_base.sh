#!/usr/bin/env bash
# Makes a base image without a registry: Debian with its Python, from Debian's packages, as root.
#
#   images/debian_base.sh [IMAGE]        localhost/debian-python:bookworm, for BASE_IMAGE of images/build.sh
#
# Needs debootstrap and buildah (apt-get install buildah debootstrap). What debootstrap makes takes minutes and is kept in
# CACHE (~/.cache/whence-images).
set -euo pipefail
image=${1:-localhost/debian-python:bookworm}
root=${CACHE:-$HOME/.cache/whence-images}/bookworm

if [ ! -e "$root.done" ]; then
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv bookworm "$root"
  rm -f "$root"/var/cache/apt/archives/*.deb
  touch "$root.done"
fi
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah add --quiet "$container" "$root" / >/dev/null
buildah commit --quiet "$container" "$image" >/dev/null
echo "$image"
