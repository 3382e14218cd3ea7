"""gRPC server reflection in both versions that clients use: ``v1``, and ``v1alpha``, which grpcio-reflection has.

Their messages are the same on the wire; only the name of the service differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE_V1: Final = "grpc.reflection.v1.ServerReflection"


def enable(service_names: Sequence[str], server: grpc.aio.Server) -> None:
    """Have the server describe these services, and reflection itself."""
    servicer = reflection.aio.ReflectionServicer((*service_names, SERVICE_V1, reflection.SERVICE_NAME))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, methods) for name in (SERVICE_V1, reflection.SERVICE_NAME)]
    )
