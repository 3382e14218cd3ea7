#!/usr/bin/env bash
# Regenerates the Python modules of proto/ into clients/python/, where they are committed.
# An old generator on purpose: what it emits loads on every protobuf from 5.29 to 7 and every grpcio from 1.71.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${GENERATE_ENVIRONMENT:-.venv-generate}
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check \
    grpcio-tools==1.71.2 grpcio==1.71.2 protobuf==5.29.6 mypy-protobuf==3.6.0 setuptools==75.8.0
fi
export PATH="$PWD/$environment/bin:$PATH"
out=${1:-clients/python}
mkdir -p "$out"
mapfile -t messages < <(find proto -name '*.proto' | sort)
mapfile -t services < <(find proto -name '*_service.proto' | sort)
python -m grpc_tools.protoc -I proto --python_out="$out" --mypy_out="quiet:$out" "${messages[@]}"
python -m grpc_tools.protoc -I proto --grpc_python_out="$out" --mypy_grpc_out="quiet:$out" "${services[@]}"
