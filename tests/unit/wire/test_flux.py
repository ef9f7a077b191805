"""Flux, read by InfluxData's own compiler: every text we make is valid, and says what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from influxdb_client._sync.api_client import ApiClient
from influxdb_client.client.query_api import QueryApi

from gl002.errors import DataError
from gl002.wire import flux
from gl002.wire.influx_query import Question
from gl002.wire.line_protocol import EARLIEST, LATEST
from injection import CORPUS
from peers.flux_compiler import FluxCompiler

shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def compiler() -> Iterator[FluxCompiler]:
    with FluxCompiler() as running:
        yield running


def _calls(node: dict[str, Any]) -> list[str]:
    """Names of the functions of a pipe, in order."""
    if node["type"] == "PipeExpression":
        return [*_calls(node["argument"]), node["call"]["callee"]["name"]]
    return [node["callee"]["name"]]


def _texts(node: Any) -> Iterator[str]:
    """Every string literal below a node."""
    if isinstance(node, dict):
        if node.get("type") == "StringLiteral":
            yield node["value"]
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)


def _kinds(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "type" in node:
            yield node["type"]
        for value in node.values():
            yield from _kinds(value)
    elif isinstance(node, list):
        for value in node:
            yield from _kinds(value)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(CORPUS)) >= 300


@pytest.mark.parametrize("place", ["bucket", "measurement", "key", "value", "field"])
def test_no_name_changes_what_a_query_does(compiler: FluxCompiler, place: str) -> None:
    """300 strings in each place: the same statements, with the string as a plain text in them."""
    plain = compiler.parsed(_query(place, "plain"))
    shape = list(_kinds(plain["body"]))
    for number, text in enumerate(CORPUS):
        try:
            query = _query(place, text)
        except DataError:
            assert any(0xD800 <= ord(c) < 0xE000 for c in text)
            continue
        compiled = compiler.parsed(query)
        assert number % 20 or compiler.valid(query), query
        assert list(_kinds(compiled["body"])) == shape, query
        assert text in set(_texts(compiled["body"])), query


def _query(place: str, text: str) -> str:
    given = {"bucket": "b", "measurement": "m", "key": "k", "value": "v", "field": "f", place: text}
    question = Question(
        measurement=given["measurement"],
        tags={given["key"]: [given["value"]]},
        fields=[given["field"]],
        limit=10,
    )
    return flux.points(given["bucket"], question)


@pytest.mark.parametrize("text", CORPUS[::5])
def test_no_name_changes_what_a_question_for_tags_does(compiler: FluxCompiler, text: str) -> None:
    try:
        query = flux.tag_values(text, text, text, 0)
    except DataError:
        return
    compiled = compiler.parsed(query)
    assert compiler.valid(query), query
    assert [one["path"]["value"] for one in compiled["imports"]] == ["influxdata/influxdb/schema"]
    assert list(_texts(compiled["body"])).count(text) == 3


@shared
@given(st.text(max_size=40))
def test_any_text_is_a_literal_that_holds_it(compiler: FluxCompiler, text: str) -> None:
    try:
        literal = flux.text(text)
    except DataError:
        assert any(0xD800 <= ord(c) < 0xE000 for c in text)
        return
    (statement,) = compiler.parsed(literal)["body"]
    assert statement["expression"] == {"type": "StringLiteral", "value": text}


@shared
@given(st.integers(EARLIEST, LATEST))
def test_any_time_is_a_literal_that_holds_it(compiler: FluxCompiler, ns: int) -> None:
    (statement,) = compiler.parsed(f"x = {flux.time(ns)}")["body"]
    value = statement["init"]["value"]
    whole, _, fraction = value.removesuffix("+00:00").partition(".")
    since = datetime.fromisoformat(f"{whole}+00:00") - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since // timedelta(seconds=1)
    assert seconds * 10**9 + int(fraction.ljust(9, "0") or 0) == ns


def test_a_page_and_the_newest_point_are_asked_for_differently(compiler: FluxCompiler) -> None:
    page = compiler.parsed(flux.points("b", Question(measurement="m", limit=7)))
    newest = compiler.parsed(flux.points("b", Question(measurement="m")))
    assert _calls(page["body"][0]["expression"]) == ["from", "range", "filter", "limit"]
    assert _calls(newest["body"][0]["expression"]) == ["from", "range", "filter", "last"]


def test_many_tags_are_one_comparison_that_the_storage_can_do(compiler: FluxCompiler) -> None:
    names = [f"boiler{i}.o2" for i in range(100)]
    text = flux.points("b", Question(measurement="m", tags={"tag": names}))
    assert compiler.valid(text)
    assert text.count(" or ") == 99


def test_a_tag_that_may_have_no_value_finds_nothing(compiler: FluxCompiler) -> None:
    text = flux.points("b", Question(measurement="m", tags={"tag": []}))
    assert compiler.valid(text)
    assert "=> false" in text


# ---- parameters ---------------------------------------------------------------------------------

VALUES = {
    "bucket": 'b"${x}', "number": 1.5, "count": -5, "on": True,
    "since": datetime(2025, 1, 1, 12, tzinfo=UTC), "every": timedelta(hours=1, microseconds=5),
}  # fmt: skip


def test_parameters_are_those_that_the_client_of_influxdata_makes() -> None:
    theirs = ApiClient().sanitize_for_serialization(QueryApi._build_flux_ast(VALUES))
    assert flux.parameters(VALUES) == theirs


def test_parameters_are_valid_flux(compiler: FluxCompiler) -> None:
    values = VALUES | {"bucket": "b"}  # the compiler's own writer forgets to escape '${'
    script = compiler.written({"type": "File", "package": None, **flux.parameters(values)})
    assert compiler.valid(script), script
    assert [one["assignment"]["id"]["name"] for one in compiler.parsed(script)["body"]] == [*VALUES]


@pytest.mark.parametrize(
    "values",
    [
        {"x": None},
        {"x": float("nan")},
        {"x": 2**63},
        {"x": [1]},
        {"x y": 1},
        {"x": "\ud800"},
        {"": 1},
    ],
)
def test_what_flux_has_no_value_for_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        flux.parameters(values)
