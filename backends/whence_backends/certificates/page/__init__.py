"""The page of a certificate: one HTML file that needs nothing else, in light or dark, on screen or on paper."""

from __future__ import annotations

from whence.display.markup import Markup, element, joined
from whence_backends.certificates.certificate import Certificate
from whence_backends.certificates.essence import essence
from whence_backends.certificates.page import sections
from whence_backends.certificates.page.style import STYLE


def page(certificate: Certificate) -> str:
    """Return the page of a certificate: what was measured, with everything that was not."""
    body = element(
        "main",
        sections.head(certificate, essence(certificate)),
        sections.tiles(certificate),
        sections.scores(certificate),
        sections.ranks(certificate),
        sections.stability(certificate),
        sections.checks(certificate),
        sections.making(certificate),
        element("footer", "Figures with ± have standard errors. docs/certificate.md of Whence explains each of them."),
    )
    headers = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"Certificate of {certificate.subject.model}"),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', headers), element('body', body), lang='en')}\n"
