"""A report as PDF, by fpdf2 (extra `report`): the same blocks, on A4."""

from __future__ import annotations

import io
import re
from typing import Any

from gl002.cli.reporting.charts import HEIGHT, WIDTH
from gl002.cli.reporting.page import Block, Grid, Heading, Items, Page, Paragraph, Picture
from gl002.errors import require

_TITLE = re.compile(r"<title>.*?</title>")  # the caption says it; fpdf2 has no use for it
_FONT = "helvetica"
_SIZES = {0: 18, 1: 14, 2: 11}
_LEAST_ROOM = 60.0  # mm below a heading, so that it does not stand alone


def as_pdf(page: Page) -> bytes:
    """The whole document.

    Raises:
        MissingDependency: fpdf2 is not installed.
    """
    require("fpdf", extra="report")
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_title(page.title)
    pdf.set_auto_page_break(auto=True, margin=15)
    pdf.add_page()
    _text(pdf, page.title, _SIZES[0], bold=True)
    _text(pdf, page.subtitle, 10)
    for block in page.blocks:
        _block(pdf, block)
    return bytes(pdf.output())


def _block(pdf: Any, block: Block) -> None:
    match block:
        case Heading(text, level):
            if pdf.get_y() > pdf.eph - _LEAST_ROOM:
                pdf.add_page()
            pdf.ln(4 if level > 1 else 7)
            _text(pdf, text, _SIZES[level], bold=True)
        case Paragraph(text):
            _text(pdf, text, 10)
        case Items(lines):
            for line in lines:
                _text(pdf, f"- {line}", 9)
        case Picture(svg, caption):
            height = pdf.epw * HEIGHT / WIDTH
            if pdf.get_y() + height > pdf.eph:
                pdf.add_page()
            pdf.image(io.BytesIO(_TITLE.sub("", svg).encode()), w=pdf.epw)
            _text(pdf, caption, 8)
        case Grid():
            _table(pdf, block)


def _table(pdf: Any, grid: Grid) -> None:
    pdf.set_font(_FONT, size=8)
    widths = [
        max(6, min(60, max(len(str(cell)) for cell in column)))
        for column in zip(grid.columns, *grid.rows, strict=True)
    ]
    with pdf.table(col_widths=widths, text_align="LEFT", padding=1) as table:
        for row in (grid.columns, *grid.rows):
            table.row([_latin(cell) for cell in row])
    pdf.ln(2)


def _text(pdf: Any, text: str, size: int, *, bold: bool = False) -> None:
    pdf.set_font(_FONT, style="B" if bold else "", size=size)
    pdf.multi_cell(w=pdf.epw, h=size * 0.5, text=_latin(text), new_x="LMARGIN", new_y="NEXT")


def _latin(text: str) -> str:
    """Text in what the built-in fonts have; anything else as a question mark."""
    return text.encode("latin-1", "replace").decode("latin-1")
