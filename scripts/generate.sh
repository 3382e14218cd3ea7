#!/usr/bin/env bash
# Generates the Python modules of proto/ in clients/python/, where they are committed.
#
#   scripts/generate.sh           write them
#   scripts/generate.sh --check   only compare: fails where a committed module is not what proto/ generates
#
# An old generator on purpose: what it emits loads on every protobuf from 5.29 to 7 and every grpcio from 1.71.
set -euo pipefail
cd "$(dirname "$0")/.."
committed=clients/python
environment=${GENERATE_ENVIRONMENT:-.venv-generate}

make_environment() {
  if [ ! -f "$environment/.installed" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
      grpcio-tools==1.71.2 grpcio==1.71.2 protobuf==5.29.6 mypy-protobuf==3.6.0 setuptools==75.8.0
    touch "$environment/.installed"
  fi
}

generate() { # into the folder $1
  local bin messages services
  bin=$(cd "$environment/bin" && pwd)
  mapfile -t messages < <(find proto -name '*.proto' | sort)
  mapfile -t services < <(find proto -name '*_service.proto' | sort)
  PATH="$bin:$PATH" python -m grpc_tools.protoc -I proto \
    --python_out="$1" --mypy_out="quiet:$1" "${messages[@]}"
  PATH="$bin:$PATH" python -m grpc_tools.protoc -I proto \
    --grpc_python_out="$1" --mypy_grpc_out="quiet:$1" "${services[@]}"
}

compare() { # the generated modules in $1 with those in $2, both ways
  local name different=0
  while read -r name; do
    if ! cmp --silent "$1/$name" "$2/$name"; then
      echo "$2/$name is not what proto/ generates; run: make generate" >&2
      different=1
    fi
  done < <({ modules "$1"; modules "$2"; } | sort -u)
  return "$different"
}

modules() {
  (cd "$1" && find . -name '*_pb2.py' -o -name '*_pb2.pyi' -o -name '*_pb2_grpc.py' -o -name '*_pb2_grpc.pyi') | sed 's|^\./||'
}

make_environment
if [ "${1:-}" = --check ]; then
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  generate "$fresh"
  compare "$fresh" "$committed"
else
  generate "$committed"
fi
