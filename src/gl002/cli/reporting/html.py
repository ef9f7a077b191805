"""A report as one HTML file: everything in it, nothing fetched, prints well."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from gl002.cli.reporting.page import Block, Grid, Heading, Items, Page, Paragraph, Picture

_STYLE: Final = """
body{font:15px/1.5 Helvetica,Arial,sans-serif;color:#222;max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:0}h2{font-size:1.3rem;margin-top:2.2rem;
border-bottom:1px solid #ccc}h3{font-size:1.05rem;margin-top:1.6rem}
table{border-collapse:collapse;margin:.8rem 0;width:100%}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
figure{margin:1rem 0}figcaption{color:#555;font-size:.85rem}svg{max-width:100%;height:auto}
@media print{h2{break-before:page}h2:first-of-type{break-before:auto}
figure,table{break-inside:avoid}}
"""
_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?( %| [A-Z]{3}| t| MWh)?")


def as_html(page: Page) -> str:
    """The whole document."""
    body = "\n".join(_block(block) for block in page.blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(page.title)}</h1>\n<p>{escape(page.subtitle)}</p>\n{body}\n</body></html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level + 1}>{escape(text)}</h{level + 1}>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Items(lines):
            return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        case Picture(svg, caption):
            return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        case Grid():
            return _table(block)


def _table(grid: Grid) -> str:
    numeric = [
        bool(grid.rows) and all(_NUMBER.fullmatch(row[i]) or not row[i] for row in grid.rows)
        for i in range(len(grid.columns))
    ]
    marks = [' class="n"' if number else "" for number in numeric]
    head = "".join(
        f"<th{mark}>{escape(name)}</th>" for mark, name in zip(marks, grid.columns, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(
            f"<td{mark}>{escape(cell)}</td>" for mark, cell in zip(marks, row, strict=True)
        ) + "</tr>"
        for row in grid.rows
    )  # fmt: skip
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
