"""The methods of the public API and their paths, from the service's descriptor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from whence.v1 import attribution_service_pb2

PREFIX: Final = "/v1/"
_SERVICE: Final = attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method: ``name`` as in the protocol, ``path`` over HTTP and ``rpc`` over gRPC."""

    name: str
    path: str
    rpc: str
    request: type[Message]
    response: type[Message]
    streams: bool


def _method(descriptor: MethodDescriptor) -> Method:
    kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", descriptor.name).lower()
    return Method(
        name=descriptor.name,
        path=PREFIX + kebab,
        rpc=f"/{_SERVICE.full_name}/{descriptor.name}",
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        streams=bool(descriptor.server_streaming),
    )


METHODS: Final = tuple(map(_method, _SERVICE.methods))
