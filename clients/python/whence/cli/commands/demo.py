"""``whence demo``: all of Whence on a small model."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whence.cli import browser, console
from whence.cli.progress import fit_progress, index_progress
from whence.cli.render.attribution import attribution as render_attribution
from whence.cli.render.factors import factors_table
from whence.client import Client
from whence.terminal import printable

if TYPE_CHECKING:
    from whence.results import Attribution
    from whence_backends.demo.run import Answered, Prepared
    from whence_backends.demo.subjects import Question, Subject

_EXAMPLES: Final = 6


def demo(
    model: Annotated[
        str,
        typer.Option(help="'tiny' (an invented world, a minute or two) or 'smollm2' (real text, much longer)."),
    ] = "tiny",
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Keep corpus and factors here, and use those that are here.", show_default="a temporary folder"
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            help="Ask nothing, and serve the model at this address until Ctrl-C, for clients and notebooks.",
            metavar="HOST:PORT",
        ),
    ] = None,
    explore: Annotated[
        bool, typer.Option("--explore", help="Ask nothing, and show the page, with questions to begin with.")
    ] = False,
    open_browser: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the page in a browser.", show_default="with a terminal and a display"
        ),
    ] = None,
) -> None:
    """Fit a small model's factors, serve it, ask where its answers came from, and compare with BM25.

    whence demo --folder /tmp/whence-demo

    whence demo --explore

    whence demo --serve localhost:50051
    """
    # Imported late: the command line must start without torch.
    from whence_backends.demo import run, subjects
    from whence_service.rpc.logging import LogFormat, configure_logging

    if explore:
        import uvicorn  # noqa: F401 - its absence is noticed before the model is fitted

    configure_logging(LogFormat.CONSOLE, level="WARNING")
    began_s = time.monotonic()
    out = console.stdout()
    with ExitStack() as stack:
        kept = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="whence-demo-")))
        subject = subjects.choose(model, kept)
        with fit_progress() as show:
            prepared = run.prepare(subject, kept, show)
        out.print(factors_table(prepared.factors))
        if explore:
            prepared = _indexed(subject, prepared, kept)
        address = stack.enter_context(run.serving(subject, prepared, serve or "127.0.0.1:0"))
        if explore:
            return _explore(subject, address, open_browser)
        if serve is not None:
            return _serve(out, subject, address)
        client = stack.enter_context(Client(address))
        out.print(f"Serving on {address}; asking {len(subject.questions)} questions in one pass over the corpus …")
        answers = list(run.ask(client, subject, prepared))
        _show(out, answers[0], run.in_detail(client, answers[0], 5))
    out.print(_table(answers))
    mrr = run.mean_reciprocal_rank([answer.ranks for answer in answers])
    bm25_mrr = run.mean_reciprocal_rank([answer.bm25_ranks for answer in answers])
    print(f"demo: mrr={mrr:.3f} bm25_mrr={bm25_mrr:.3f} seconds={time.monotonic() - began_s:.1f}")
    return None


def _indexed(subject: Subject, prepared: Prepared, folder: Path) -> Prepared:
    from whence_backends.demo.indexing import index

    with index_progress() as show:
        return replace(prepared, index=index(subject, prepared.corpus, prepared.factors, folder, show))


def _serve(out: Console, subject: Subject, address: str) -> None:
    out.print(f"Serving {subject.name} on {address} until Ctrl-C, such as for")
    question = subject.questions[0]
    command = ["whence", "attribute", "--prompt", question.prompt, "--completion", question.completion]
    print(shlex.join([*command, "--server", address]), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _explore(subject: Subject, address: str, open_browser: bool | None) -> None:
    """Show the page of a served subject until a signal."""
    from whence.explore.beginning import Beginning
    from whence.explore.server import run
    from whence.explore.settings import ExploreSettings
    from whence.explore.upstream import Server

    def started(url: str) -> None:
        print(f"{url} shows {subject.name} until Ctrl-C", flush=True)
        browser.show(url, wanted=open_browser)

    # A scan tells more from noise than an index does, and of so few sequences it takes seconds.
    examples = [
        {"prompt": question.prompt, "completion": question.completion, "search": "full-scan"}
        for question in _varied(subject)
    ]
    run(Server(target=address), ExploreSettings.load(port=0), started, Beginning(examples=examples, guide=True))


def _varied(subject: Subject) -> list[Question]:
    """Return about six questions from all over the list, whose neighbours are alike."""
    step = max(1, len(subject.questions) // _EXAMPLES)
    return list(subject.questions[::step])


def _show(out: Console, answer: Answered, attribution: Attribution) -> None:
    """Print one answer in full, as ``whence attribute`` does."""
    out.print(Text.assemble("\n", _asked(answer)))
    out.print(render_attribution(attribution, plain=out.color_system is None))


def _asked(answer: Answered) -> Text:
    question = answer.question
    return Text.assemble((printable(question.prompt), "bold"), (printable(question.completion), "reverse"))


def _table(answers: Sequence[Answered]) -> Table:
    table = Table(title="Where the sources of each answer came", title_justify="left", box=box.SIMPLE_HEAD)
    for heading, justify in (
        ("output", "left"),
        ("log p", "right"),
        ("ranks of its sources", "left"),
        ("BM25", "left"),
    ):
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for answer in answers:
        table.add_row(
            _asked(answer),
            f"{answer.attribution.log_likelihood:.2f}",
            _ranks(answer.ranks),
            _ranks(answer.bm25_ranks),
        )
    return table


def _ranks(ranks: Sequence[int | None]) -> str:
    return " ".join("–" if rank is None else str(rank) for rank in ranks)  # noqa: RUF001 - a dash, not a minus
