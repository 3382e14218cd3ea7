"""A command group that imports a command's module when the command runs, and turns errors into messages."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

import typer
import typer.core
import typer.main

from whence.cli import failures

# Keys of the context: the extra that the command needs, whether it prints JSON, whether it calls a server.
_EXTRA: Final = "whence.extra"
_JSON: Final = "whence.json"
_CALLS: Final = "whence.calls"


class Subcommand(NamedTuple):
    """A command: its place, its line in the list of commands, and the extra that installs what it needs."""

    name: str
    location: str  # "module:function"; the function may also be a typer.Typer
    summary: str
    extra: str = ""


class LazyGroup(typer.core.TyperGroup):
    """A group that lists its ``subcommands`` from a table and loads a command when it is called.

    Contexts are ``Any`` because some versions of typer have their own copy of click.
    """

    subcommands: ClassVar[tuple[Subcommand, ...]] = ()

    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401  # typer's own arguments, passed on
        super().__init__(**attrs)
        for subcommand in self.subcommands:
            self.add_command(_placeholder(subcommand), subcommand.name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Return the name, the loaded command and the remaining arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        subcommand = next((entry for entry in self.subcommands if entry.name == name), None)
        if subcommand is None:
            return name, command, rest
        ctx.meta[_EXTRA] = subcommand.extra
        loaded = load(subcommand)
        # Of a group, the options are its command's.
        called = next((loaded.commands[name] for name in rest if name in getattr(loaded, "commands", {})), loaded)
        known = {name for option in called.params for name in option.opts}
        ctx.meta[_JSON] = "--json" in rest and "--json" in known
        ctx.meta[_CALLS] = "--server" in known
        return name, loaded, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the named command. Its errors become a message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, Exception) as error:
            as_json = ctx.meta.get(_JSON, False)
            if ctx.params.get("debug") or failures.belongs_to_the_shell(error, as_json=as_json):
                raise
            calls = ctx.meta.get(_CALLS, False)
            failures.show(error, extra=ctx.meta.get(_EXTRA, ""), as_json=as_json, calls_a_server=calls)
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
    """Return an entry of the list of commands, which is replaced when the command is called."""

    def nothing() -> None:
        raise AssertionError("placeholders are resolved before they run")

    nothing.__doc__ = subcommand.summary
    return _command(nothing, subcommand.name)


def _command(function: Callable[..., Any], name: str) -> Any:  # noqa: ANN401
    single = typer.Typer(add_completion=False)
    single.command(name, context_settings={"help_option_names": ["-h", "--help"]})(function)
    return typer.main.get_command(single)
