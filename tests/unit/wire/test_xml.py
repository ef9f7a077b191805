"""XML: what a stranger sends can neither open a file nor fill the memory, nor can our data."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError, RequestFailed
from gl002.wire import xml
from gl002.wire.xml import child, first, local, parse, serialise, text_of


def _bomb(use: bytes) -> bytes:
    tenfold = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    return b'<!DOCTYPE x [<!ENTITY a0 "lol">' + tenfold + b"]>" + use


HOSTILE = {
    "bomb in text": _bomb(b"<x>&a9;</x>"),
    "bomb in an attribute": _bomb(b'<x y="&a9;"/>'),
    "quadratic": b'<!DOCTYPE x [<!ENTITY a "%s">]><x>%s</x>' % (b"x" * 50_000, b"&a;" * 50_000),
    "file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "bare": b"<!DOCTYPE x><x/>",
    "after a comment": b"<?xml version='1.0'?><!-- <x/> --><!DOCTYPE x><x/>",
    "UTF-16": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><x/>'.encode("utf-16"),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_document_with_a_dtd_is_refused_at_once(body: bytes) -> None:
    start = time.thread_time()  # what this thread computes, and not what others do meanwhile
    with pytest.raises(RequestFailed, match="document type declaration"):
        parse(body)
    assert time.thread_time() - start < 1


def test_no_file_is_opened_whatever_a_parameter_entity_names(tmp_path: Path) -> None:
    """A pipe that nobody writes to: who opened it would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    body = f'<!DOCTYPE x [<!ENTITY % p SYSTEM "file://{pipe}"> %p;]><x/>'.encode()
    with pytest.raises(RequestFailed, match="document type declaration"):
        parse(body)


def test_a_page_of_a_proxy_is_told_from_an_answer() -> None:
    with pytest.raises(RequestFailed, match="web page"):
        parse(b'<!DOCTYPE html SYSTEM "about:legacy-compat"><html></html>')


@pytest.mark.parametrize(
    "body",
    [b"", b"no xml", b"<x>", b"<x/><y/>", b"<x>\0</x>", b"<x>&y;</x>", b"<x y=1/>", b"\xff\xfe<",
     b"<x>\xe4</x>", b'<?xml version="1.0" encoding="nonsense"?><x/>',
     b'<?xml version="1.0" encoding="idna"?><x/>', b"<a:x/>"],
)  # fmt: skip
def test_what_is_no_xml_is_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(RequestFailed):
        parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_an_error_of_ours(body: bytes) -> None:
    with contextlib.suppress(RequestFailed):
        parse(b"<x>" + body + b"</x>")


def test_more_elements_than_the_memory_should_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(xml, "MOST_ELEMENTS", 1000)
    assert len(parse(b"<x>" + b"<y/>" * 999 + b"</x>")) == 999
    with pytest.raises(RequestFailed, match="more than 1000 elements"):
        parse(b"<x>" + b"<y/>" * 2000 + b"</x>")


def test_a_deep_document_is_read_and_thrown_away_without_harm() -> None:
    assert parse(b"<x>" * 100_000 + b"</x>" * 100_000).tag == "x"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_text_that_xml_has_comes_back_as_it_was(text: str) -> None:
    root = parse(b"<x/>")
    root.set("a", text)
    child(root, "y", text)
    try:
        body = serialise(root)
    except DataError as error:
        assert "U+" in str(error)  # noqa: PT017 (both outcomes are right, for different texts)
        return
    back = parse(body)
    assert back.get("a") == text
    assert (back[0].text or "") == text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    "name", ["", "a b", "a><b", "1a", "{x}", "{u}a/", 'a"', "{a b}c", "{u}a}b", "a\n"]
)
def test_a_hostile_name_is_refused_and_never_sent(name: str) -> None:
    with pytest.raises(DataError, match="no name in XML"):
        serialise(ET.Element(name))
    root = parse(b"<x/>")
    root.set(name, "1")
    with pytest.raises(DataError, match="no name in XML"):
        serialise(root)


def test_elements_are_found_whatever_their_prefix() -> None:
    root = parse(b"<a:x xmlns:a='u' xmlns='v'><b><c> 1 <d>2</d></c></b></a:x>")
    assert local(root) == "x"
    assert text_of(first(root, "b", "c")) == "1 2"
    assert first(root, "b", "missing", "c") is None
    assert text_of(None) == ""
