"""Options that several commands share, and what they amount to: a connection, a query."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer

from whence._channel import DEFAULT_TARGET
from whence.client import Client
from whence.errors import InvalidRequestError
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.options import AttributionOptions, declared
from whence.queries import Query
from whence.reasons import Reason
from whence.settings import Setting

TIMEOUT_S: Final = 600.0


def setting_option(setting: Setting, *names: str, panel: str | None = None) -> Any:  # noqa: ANN401 - typer's own type
    """Return the option for a setting, called by ``names`` or as the setting is."""
    return typer.Option(*names, help=setting.description, show_default=setting.default or False, rich_help_panel=panel)


def query_option(kind: type, name: str, *names: str) -> Any:  # noqa: ANN401
    """Return the option for one of a query's options, called by ``names`` or as it is.

    The command line spells values with hyphens.
    """
    declaration = declared(kind)[name]
    return typer.Option(
        *names,
        help=re.sub(r"'[a-z]+_[a-z_]+'", lambda value: value[0].replace("_", "-"), declaration.description),
        min=declaration.minimum,
        max=declaration.maximum,
        show_default=declaration.unset or True,
    )


Server = Annotated[str, typer.Option(envvar="WHENCE_SERVER", help="The server, as host:port.", metavar="HOST:PORT")]
Tls = Annotated[bool, typer.Option("--tls", envvar="WHENCE_TLS", help="Connect with TLS.")]
CaFile = Annotated[
    Path | None,
    typer.Option(envvar="WHENCE_CA_FILE", help="Trust these PEM certificates, not the system's; implies TLS."),
]
Timeout = Annotated[float, typer.Option(help="Give up after this many seconds.", min=0.001)]
ModelName = Annotated[str, typer.Option("--model", help="The model; needed where several are served.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead: the answer on stdout, or an error on stderr.")
]
Prompt = Annotated[str | None, typer.Option(help="The context that the output followed.")]
PromptFile = Annotated[Path | None, typer.Option(help="Read the context from a file; - is the standard input.")]
Completion = Annotated[str | None, typer.Option(help="The output to attribute, with the space it may begin with.")]
Chat = Annotated[
    Path | None,
    typer.Option(
        help="A JSON file of messages with role and content, or of an object with messages and tools; the last "
        "message is the output."
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse, and do not only warn, where the chat template leaves out part of the output."
    ),
]
Examples = Annotated[
    list[Path] | None,
    typer.Option(
        "--example",
        help='A JSON file with a training example: {"prompt": …, "completion": …}, of which the completion counts, or '
        '{"messages": [...]}; may be repeated.',
    ),
]
DampingFactor = Annotated[float | None, query_option(AttributionOptions, "damping_factor")]

Sources = Annotated[list[str] | None, typer.Option("--source", help="Only sequences of this source; repeat for more.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only sequences with this metadata, such as year=1908 or meta.lang=en, or with none (year=); repeat for "
        "more that must hold.",
        metavar="NAME=VALUE",
    ),
]
Document = Annotated[str | None, typer.Option("--document", help="Only sequences of the document with this id.")]
Layers = Annotated[list[str] | None, query_option(AttributionOptions, "layers", "--layer")]
FullText = Annotated[bool, typer.Option("--full-text", help="Print whole sequences, not their strongest passage.")]

DEFAULT_SERVER: Final = DEFAULT_TARGET


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach the server."""

    server: str
    tls: bool
    ca_file: Path | None
    timeout_s: float

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return the TLS credentials, or None for a connection in the clear."""
        if not self.tls and self.ca_file is None:
            return None
        return grpc.ssl_channel_credentials(self.ca_file.read_bytes() if self.ca_file else None)

    def client(self) -> Client:
        """Return a client; use it as a context manager."""
        return Client(self.server, timeout_s=self.timeout_s, credentials=self.credentials())


def query(
    prompt: str | None, prompt_file: Path | None, completion: str | None, chat: Path | None, *, strict: bool = False
) -> Query:
    """Return the query of the options. Raises a usage error where they do not make exactly one."""
    if chat is not None:
        if prompt is not None or prompt_file is not None or completion is not None:
            raise typer.BadParameter("--chat has the whole conversation: leave out --prompt and --completion")
        return Query.chat(**conversation(read_text(chat, "chat"), str(chat)), strict=strict)
    if completion is None:
        raise typer.BadParameter("give the output with --completion (and --prompt), or with --chat")
    if prompt is not None and prompt_file is not None:
        raise typer.BadParameter("give one of --prompt and --prompt-file")
    context = read_text(prompt_file, "prompt_file") if prompt_file is not None else prompt or ""
    return Query.text(context, completion)


def conversation(text: str, name: str) -> dict[str, Any]:
    """Return what a JSON file has of a conversation: a list of messages, or an object with them and ``tools``."""
    document = _json(text, name)
    found = document.get("messages") if isinstance(document, dict) else document
    if not isinstance(found, list):
        raise InvalidRequestError(
            f"{name} holds no list of messages: expected [{{'role': …, 'content': …}}, …]",
            reason=Reason.MISSING_MESSAGES,
            field="chat",
        )
    beside = document if isinstance(document, dict) else {}
    date = beside.get("date")
    return {
        "messages": found,
        "tools": beside.get("tools"),
        "template_arguments": beside.get("template_arguments", beside.get("chat_template_kwargs")),
        "date": date if isinstance(date, str) else "",
    }


def example(path: Path) -> TrainingExample:
    """Return the training example of a JSON file: a text, a prompt and completion, or a conversation."""
    text, name = read_text(path, "example"), str(path)
    document = _json(text, name)
    if isinstance(document, str):
        return TrainingExample.text(document)
    if isinstance(document, dict) and isinstance(document.get("text"), str):
        return TrainingExample.text(document["text"])
    if isinstance(document, dict) and all(isinstance(document.get(key), str) for key in ("prompt", "completion")):
        return TrainingExample.completion(document["prompt"], document["completion"])
    return TrainingExample.chat(**conversation(text, name))


def _json(text: str, name: str) -> Any:  # noqa: ANN401 - whatever a file holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{name} is not JSON: {error}", reason=Reason.INVALID_JSON, field="chat") from error


def read_text(path: Path, field: str) -> str:
    """Return a file's text as it is, line ends included, less a byte order mark; ``-`` is the standard input."""
    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = content[error.start : error.start + 1].hex()
        raise InvalidRequestError(
            f"{path} is not UTF-8 text: its byte {error.start} is 0x{found}; convert it, as with iconv -t utf-8",
            reason=Reason.INVALID_TEXT,
            field=field,
        ) from error


def only(sources: list[str] | None, where: list[str] | None, document: str | None) -> Filter | None:
    """Return the filter of the options, if there is one. Raises a usage error for a condition without a value."""
    if not sources and not where and not document:
        return None
    metadata: dict[str, str] = {}
    for condition in where or ():
        name, equals, value = condition.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--where {condition!r}: expected NAME=VALUE, such as year=1908")
        if metadata.setdefault(name, value) != value:
            raise typer.BadParameter(
                f"--where {name!r} is given as {metadata[name]!r} and as {value!r}: a request asks for one value a name"
            )
        metadata[name] = value
    ends = document or ""
    return Filter(sources=sources or (), metadata=metadata, first_document_id=ends, last_document_id=ends)
