"""The sections of a certificate's page, each a function of the certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from whence.display.markup import Markup, element, joined
from whence_backends.certificates.certificate import Certificate
from whence_backends.certificates.figures import Agreement, RankEffect
from whence_backends.certificates.page.charts import Bar, bars, written

MISSING: Final = element("span", "not measured", class_="missing")
_PROXY: Final = (
    "Measured on a small proxy model that was trained on the served corpus. It speaks for the method and for the "
    "corpus. It does not say how true the influences of the served model are."
)


def head(certificate: Certificate, essence: str) -> Markup:
    """Return the title, the essence and, of a proxy, what that means."""
    model = certificate.subject.model
    kind = "Certificate of influences" + (" · proxy model" if certificate.is_proxy else "")
    warning = element("p", _PROXY, class_="doubt") if certificate.is_proxy else joined()
    return element(
        "header",
        element("p", kind, class_="kind"),
        element("h1", model),
        element("p", essence[:1].upper() + essence[1:] + ".", class_="essence"),
        warning,
    )


def tiles(certificate: Certificate) -> Markup:
    """Return the four figures that an answer is read by."""
    lds, ranks = certificate.lds, certificate.ranks
    score = None if lds.influence is None else f"{lds.influence.value:.2f}"
    limit = "ceiling not measured" if lds.ceiling is None else f"of {lds.ceiling.value:.2f} that seeds allow"
    rank = ranks.valid_to_rank
    ratio = ranks.size_ratio
    shown = certificate.negative_shown
    return element(
        "dl",
        _tile("Ranking (LDS)", score, limit),
        _tile("Valid to rank", None if rank is None else str(rank), "hits below are not told from noise"),
        _tile("Sizes", None if ratio is None else f"× {ratio.value:.2g}", "effect of a first hit, by its influence"),  # noqa: RUF001
        _tile(
            "Negative influence",
            None if shown is None else ("shown" if shown else "not shown"),
            "to make outputs less likely",
            style="" if shown is None else ("good word" if shown else "bad word"),
        ),
        class_="tiles",
    )


def _tile(name: str, value: str | None, more: str, *, style: str = "") -> Markup:
    shown = (
        element("dd", "not measured", class_="value word missing")
        if value is None
        else element("dd", value, class_=f"value {style}".strip())
    )
    return element("div", element("dt", name), shown, element("dd", more, class_="more"), class_="tile")


def scores(certificate: Certificate) -> Markup:
    """Return the linear datamodeling scores as a chart."""
    lds = certificate.lds
    named = {
        "influence": lds.influence,
        "influence, noise taken off": lds.signal,
        "positive influence alone": lds.positive,
        "negative influence alone": lds.negative,
        "BM25": lds.bm25,
        "gradient dot product": lds.dot_product,
    }
    rows = [
        Bar(name=name, value=value, main=name.startswith("influence"))
        for name, value in named.items()
        if value is not None
    ]
    missing = [name for name, value in named.items() if value is None]
    about = (
        "Models were trained on random subsets of the corpus. A method's score is the rank correlation between the "
        "sum of its scores over a subset and what the model trained on that says: 1 is perfect, 0 is chance. Whiskers "
        "are 95%."
    )
    left_out = [element("p", f"Not measured: {', '.join(missing)}.", class_="note")] if missing and rows else []
    chart = element("figure", bars(rows, label="Linear datamodeling scores", ceiling=lds.ceiling)) if rows else None
    return _section("Does the ranking predict retraining?", about, chart, *left_out, _counts(certificate))


def _counts(certificate: Certificate) -> Markup:
    lds = certificate.lds
    if lds.subsets is None:
        return joined()
    share = "" if lds.alpha is None else f" of {lds.alpha:.0%} of the corpus"
    again = "" if not lds.repeated else f", {lds.repeated:,} of them again with other seeds"
    queries = "" if lds.queries is None else f"; {lds.queries:,} queries"
    return element("p", f"{lds.subsets:,} subsets{share}{again}{queries}.", class_="note")


def ranks(certificate: Certificate) -> Markup:
    """Return predicted and measured effects by rank."""
    about = (
        "A query's log-likelihood in the models that had the sequence, less that in those that had not, beside the "
        "influence, in nats. Rows in grey are not told from zero. Right signs: 50% is chance."
    )
    effects = certificate.ranks
    if not effects.positive and not effects.negative:
        return _section("Do single hits matter, and how much?", about, None)
    rows = [*_rank_rows("", effects.positive), *_rank_rows("most negative ", effects.negative)]
    headings = ("rank", "influence", "measured effect", "right signs")
    return _section("Do single hits matter, and how much?", about, _table(headings, rows))


def _rank_rows(prefix: str, effects: Sequence[RankEffect]) -> Iterator[Markup]:
    for effect in effects:
        ends = (effect.first_rank, effect.last_rank)
        ranks = f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} – {ends[1]:,}"  # noqa: RUF001
        certain = effect.measured.is_above_zero or effect.measured.is_below_zero
        signs = MISSING if effect.right_signs is None else f"{effect.right_signs:.0%}"
        cells = (prefix + ranks, f"{effect.predicted:+.3g}", written(effect.measured), signs)
        yield element("tr", *_cells(cells), class_="" if certain else "noise")


def stability(certificate: Certificate) -> Markup:
    """Return the agreement of rankings after changes that should not matter."""
    parts = certificate.stability
    rows = [
        _agreement("other sampled labels", parts.label_seed),
        _agreement("factors of half of the data", parts.half_data),
        _agreement("another precision", parts.precision),
    ]
    about = "The same queries, ranked again after a change that should not matter. 1 is the same ranking."
    return _section(
        "Does the ranking stand still?", about, _table(("change", "top 10 in both", "rank correlation"), rows)
    )


def _agreement(name: str, agreement: Agreement | None) -> Markup:
    if agreement is None:
        return element("tr", *_cells((name, MISSING, MISSING)))
    label = f"{name} ({agreement.compared})" if agreement.compared else name
    return element("tr", *_cells((label, f"{agreement.top10_overlap:.0%}", f"{agreement.rank_correlation:.3f}")))


def checks(certificate: Certificate) -> Markup:
    """Return the figures that need no retraining, and those of groups."""
    made, groups = certificate.checks, certificate.groups
    step = made.step
    facts: list[tuple[str, str]] = [
        ("Gradients", MISSING if made.gradient_error is None else f"within {made.gradient_error:.0e} of autograd's"),
        (
            "Parameters covered",
            MISSING if made.attributed_share is None else f"{made.attributed_share:.0%} of the model's",
        ),
        ("Proximal response (PBRF)", MISSING if made.pbrf is None else f"correlation {written(made.pbrf)}"),
        ("One step of the parameters", MISSING if step is None else f"gives {step.slope:.2f} of what influences say"),
        (
            "Promises above certainty",
            MISSING if step is None else f"{step.impossible_share:.0%} of first hits, each by itself",
        ),
        (
            "Shared with BM25",
            MISSING if made.bm25_overlap is None else f"{made.bm25_overlap:.0%} of the first ten hits",
        ),
        (
            "Sums over groups",
            MISSING
            if groups is None
            else f"{groups.coverage:.0%} of the 95% intervals hold what models trained without the group say; "
            f"correlation {groups.correlation:.2f}; {groups.groups:,} groups",
        ),
    ]
    return _section("What else was checked", "", _facts(facts))


def making(certificate: Certificate) -> Markup:
    """Return the artefacts that were measured, and the method."""
    subject, made = certificate.subject, certificate.making
    whose = "the proxy model" if certificate.is_proxy else "the model"
    facts = [
        ("Made", f"{made.date}, by Whence {made.whence_version}, on {made.machine}"),
        ("Method", made.method),
        ("Damping factor", f"{made.damping_factor:g}; sizes hold for this one alone"),
        ("Engine", made.engine or MISSING),
        (f"Weights of {whose}", element("code", subject.model_digest)),
        (f"Factors of {whose}", element("code", subject.factors_digest)),
        ("Corpus", element("code", subject.corpus_digest)),
        ("Index", element("code", subject.index_digest) if subject.index_digest else "none took part"),
    ]
    about = "It holds for these artefacts and no others. Workers compare the digests before they serve it."
    if certificate.is_proxy:
        about = "It holds for models trained on this corpus. Workers compare its digest alone before they serve it."
    return _section("What this certificate is of", about, _facts(facts))


def _section(title: str, about: str, *parts: Markup | None) -> Markup:
    lead = [element("p", about, class_="note")] if about else []
    shown = [element("p", MISSING) if part is None else part for part in parts]
    return element("section", element("h2", title), *lead, *shown)


def _table(headings: Sequence[str], rows: Sequence[Markup]) -> Markup:
    first, *rest = headings
    cells = [element("th", first, scope="col"), *(element("th", name, scope="col", class_="number") for name in rest)]
    table = element("table", element("thead", element("tr", *cells)), element("tbody", *rows))
    return element("div", table, class_="wide")


def _cells(values: Sequence[str]) -> list[Markup]:
    first, *rest = values
    return [element("td", first), *(element("td", value, class_="number") for value in rest)]


def _facts(facts: Sequence[tuple[str, str]]) -> Markup:
    rows = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in facts]
    return element("table", element("tbody", *rows), class_="facts")
