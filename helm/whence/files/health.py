"""Ask a server for its health until it serves, for SECONDS: health.py HOST:PORT SECONDS [CA [CERTIFICATE KEY]]."""

import pathlib
import sys
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

address, seconds, *files = sys.argv[1:]
authorities, certificate, key = [pathlib.Path(file).read_bytes() for file in files] + [None] * (3 - len(files))
if authorities:
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authorities, key, certificate))
else:
    channel = grpc.insecure_channel(address)
request = health_pb2.HealthCheckRequest(service="whence.v1.AttributionService")
end = time.monotonic() + float(seconds)
while True:
    try:
        status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5, wait_for_ready=True).status
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
    except grpc.RpcError as error:
        state = f"{error.code().name}: {error.details()}"
    print(address, state, flush=True)
    if state == "SERVING":
        break
    if time.monotonic() > end:
        sys.exit(1)
    time.sleep(1)
