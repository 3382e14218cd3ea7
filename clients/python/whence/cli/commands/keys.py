"""``whence keys``: the API keys of a front end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whence.cli import console
from whence.cli.options import Json
from whence.cli.render.keys import document, overview
from whence.errors import InvalidRequestError
from whence.reasons import Reason

if TYPE_CHECKING:
    from whence_service.access.key_store import KeyStore
    from whence_service.access.keys import NewKey
    from whence_service.rpc.identity import Scope

keys = typer.Typer(
    help="Manage the API keys that a front end knows (its keys_file). The file has salted hashes, and no key.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Option(envvar="WHENCE_KEYS_FILE", help="The file of keys, which the first key makes.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, which `whence keys list` shows.", metavar="ID")]


@keys.command()
def add(
    file: File,
    subject: Annotated[str, typer.Option(help="Who the key is for, as logs are to name them.")],
    tenant: Annotated[str, typer.Option(help="Whose quota the calls count against.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="attribute, read-texts or administer. May be repeated.", show_default="attribute"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that exists for the caller, or a pattern such as smollm-*. May be repeated.",
            show_default="all models",
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="The days that the key is valid.", min=0, show_default="for ever")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is shown this once; nobody can read it from the file."""
    scopes = tuple(dict.fromkeys(_scope(name) for name in scope or ["attribute"]))
    lifetime = None if days is None else timedelta(days=days)
    new = _store(file).add(
        subject=subject, tenant=tenant, scopes=scopes, models=tuple(model or ["*"]), lifetime=lifetime
    )
    _show(new, as_json=as_json)


@keys.command("list")
def list_(file: File, as_json: Json = False) -> None:
    """List the keys, without what would let anyone use them."""
    stored = _store(file).list()
    if as_json:
        console.print_json({"keys": [document(key) for key in stored]})
    else:
        console.stdout().print(overview(stored))


@keys.command()
def revoke(key_id: KeyId, file: File) -> None:
    """End a key at once: servers refuse it from the next call on."""
    _store(file).revoke(key_id)
    console.stderr().print(f"{key_id} is revoked.")


@keys.command()
def rotate(
    key_id: KeyId,
    file: File,
    overlap_hours: Annotated[
        float, typer.Option(help="The hours that the old key stays valid, at most.", min=0)
    ] = 24.0,
    as_json: Json = False,
) -> None:
    """Make a new key for the caller of another, print it, and let the old one end."""
    _show(_store(file).rotate(key_id, overlap=timedelta(hours=overlap_hours)), as_json=as_json)


def _scope(name: str) -> Scope:
    from whence_service.rpc.identity import Scope

    try:
        return Scope(name)
    except ValueError as error:
        raise InvalidRequestError(
            f"{name!r} is no scope; choose from {', '.join(Scope)}", reason=Reason.UNKNOWN_SCOPE, field="scope"
        ) from error


def _store(file: Path) -> KeyStore:
    from whence_service.access.key_store import KeyStore

    return KeyStore(path=file)


def _show(new: NewKey, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"key": new.text, **document(new.stored)})
        return
    print(new.text)
    console.stderr().print(f"This key (id {new.stored.id}) is shown this once: keep it where secrets are kept.")
