"""A command group that imports a command's module when the command runs, and turns errors into messages."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

import typer
import typer.core
import typer.main

from whence.cli import failures

# In the context: the extra that the command being run needs, whether it is to print JSON, whether it asks a server.
_EXTRA: Final = "whence.extra"
_JSON: Final = "whence.json"
_ASKS: Final = "whence.asks"


class Subcommand(NamedTuple):
    """Where a command is found, what the list of commands says, and the extra that brings what it needs."""

    name: str
    location: str  # "module:function"; the function may also be a typer.Typer
    summary: str
    extra: str = ""


class LazyGroup(typer.core.TyperGroup):
    """A group whose ``subcommands`` are listed from a table and loaded when one of them is called.

    The contexts are ``Any`` below because typer brings its own copy of click in some versions and not in
    others.
    """

    subcommands: ClassVar[tuple[Subcommand, ...]] = ()

    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401  # typer's own arguments, passed on
        super().__init__(**attrs)
        for subcommand in self.subcommands:
            self.add_command(_placeholder(subcommand), subcommand.name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Return the name, the command, now loaded, and the arguments left."""
        name, command, rest = super().resolve_command(ctx, args)
        found = next((one for one in self.subcommands if one.name == name), None)
        if found is None:
            return name, command, rest
        ctx.meta[_EXTRA] = found.extra
        loaded = load(found)
        known = {name for option in loaded.params for name in option.opts}
        ctx.meta[_JSON] = "--json" in rest and "--json" in known
        ctx.meta[_ASKS] = "--server" in known
        return name, loaded, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command that was named. Its errors become a message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, Exception) as error:
            as_json = ctx.meta.get(_JSON, False)
            if ctx.params.get("debug") or failures.belongs_to_the_shell(error, as_json=as_json):
                raise
            asks = ctx.meta.get(_ASKS, False)
            failures.show(error, extra=ctx.meta.get(_EXTRA, ""), as_json=as_json, asks_a_server=asks)
            raise typer.Exit(failures.exit_code(error)) from error


def load(subcommand: Subcommand) -> Any:  # noqa: ANN401  # a click command, of whichever click typer uses
    """Import a command's module and return the command."""
    module_name, _, attribute = subcommand.location.partition(":")
    target = getattr(importlib.import_module(module_name), attribute)
    if isinstance(target, typer.Typer):
        command: Any = typer.main.get_command(target)
    else:
        command = _command(target, subcommand.name)
    command.name = subcommand.name
    return command


def _placeholder(subcommand: Subcommand) -> Any:  # noqa: ANN401
    """Return a command that only stands in the list of commands."""

    def nothing() -> None:
        raise AssertionError("placeholders are resolved before they run")

    nothing.__doc__ = subcommand.summary
    return _command(nothing, subcommand.name)


def _command(function: Callable[..., Any], name: str) -> Any:  # noqa: ANN401
    single = typer.Typer(add_completion=False)
    single.command(name, context_settings={"help_option_names": ["-h", "--help"]})(function)
    return typer.main.get_command(single)
