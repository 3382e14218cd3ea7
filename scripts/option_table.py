"""Writes the tables of a query's options in docs/options.md. With --check it only compares."""

from __future__ import annotations

import generated_blocks

from whence.options import AttributionOptions, BatchOptions, GroupOptions, Option, declared


def table(options: dict[str, Option]) -> str:
    """Return a row for each option: its name, its default, its bounds and its meaning."""
    rows = [[f"`{name}`", _default(option), _bounds(option), option.description] for name, option in options.items()]
    return generated_blocks.table(["Option", "Default", "Bounds", "Meaning"], rows)


def _default(option: Option) -> str:
    return option.unset or f"`{option.default!r}`"


def _bounds(option: Option) -> str:
    if option.minimum is None:
        return ""
    return f"at least {option.minimum}" if option.maximum is None else f"{option.minimum} to {option.maximum}"


if __name__ == "__main__":
    ranking = declared(AttributionOptions)
    batch = {name: option for name, option in declared(BatchOptions).items() if name not in ranking}
    blocks = {"ranking": table(ranking), "batch": table(batch), "groups": table(declared(GroupOptions))}
    generated_blocks.run(generated_blocks.ROOT / "docs" / "options.md", blocks)
