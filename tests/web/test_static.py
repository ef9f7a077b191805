"""The files of the page: small, own, and free of what would let text become code."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

FILES = {f.name: f.read_bytes() for f in files("gl002.web").joinpath("static").iterdir()}
SOURCES = sorted(name for name in FILES if name.endswith((".js", ".html", ".css", ".svg")))


def test_all_of_them_together_stay_below_sixty_thousand_bytes():
    assert sum(map(len, FILES.values())) < 60_000


def test_there_is_nothing_but_sources_a_person_can_read():
    assert sorted(FILES) == SOURCES
    longest = max(len(line) for name in SOURCES for line in FILES[name].decode().splitlines())
    assert longest < 260


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_loaded_from_elsewhere(name):
    addresses = set(re.findall(rb"(?:https?:)?//[a-z0-9][\w.-]+", FILES[name]))
    assert addresses <= {b"http://www.w3.org"}  # the name of SVG, not an address


@pytest.mark.parametrize("name", [n for n in SOURCES if n.endswith(".js")])
def test_no_script_makes_code_or_markup_of_text(name):
    forbidden = (
        rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
        rb"setTimeout\(['\"]|DOMParser|createContextualFragment|srcdoc|localStorage"
    )
    assert re.findall(forbidden, FILES[name]) == []


def test_the_page_holds_no_inline_script_style_or_handler():
    page = FILES["index.html"].decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:", page) == []
    assert '<html lang="en">' in page


def test_every_file_is_used():
    text = b"".join(FILES.values()).decode()
    for name in set(FILES) - {"index.html"}:
        assert f"/{name}" in text, name
