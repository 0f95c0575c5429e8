"""The member's copy printed: HTML that prints well, and PDF (PDF/UA-1, so that it can be read aloud).

Both are made from one ``Page``; what is in it is data to the templates, never markup.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import orjson
import typst
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from fhirgw.document.wording import Page

_TYPST_SIZE = {False: "12pt", True: "20pt"}  # large print: 18 points and more (American Printing House guidelines)
_HTML_SIZE = {False: "1.05rem", True: "1.7rem"}


class Presentation(StrEnum):
    """How a document is wanted."""

    BUNDLE = "application/fhir+json"
    HTML = "text/html"
    PDF = "application/pdf"


def html(page: Page, *, large: bool) -> bytes:
    """One self-contained page."""
    return template("page.html.jinja").render(page=page, size=_HTML_SIZE[large]).encode()


def pdf(page: Page, *, large: bool) -> bytes:
    """The same, in Letter format."""
    return typst.compile(
        files(__package__).joinpath("page.typ").read_bytes(),
        format="pdf",
        ignore_system_fonts=True,
        sys_inputs={"page": orjson.dumps(asdict(page)).decode(), "size": _TYPST_SIZE[large]},
        pdf_standards=["ua-1"],
    )


def narrative(page: Page, index: int) -> str:
    """A section as the XHTML of ``Composition.section.text``."""
    return template("narrative.xhtml.jinja").render(section=page.sections[index], language=page.language)


PRINTERS: Mapping[Presentation, Callable[..., bytes]] = MappingProxyType(
    {Presentation.HTML: html, Presentation.PDF: pdf}
)


@cache
def template(name: str) -> Template:
    """A template of this package; all but those of plain text (``.txt.jinja``) escape what they print."""
    loader = PackageLoader("fhirgw.document", package_path="")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(default=True, disabled_extensions=("txt.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
