"""Writing to PI, by hand and as an output: what is written arrives once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import AuthFailed, Busy, DataError, PartialWrite, RequestFailed
from gl002.model import Quality, Sample, Tag, now_ns, to_ns
from gl002.security.audit import read
from integrations.pi_site import DAY, SECOND, Make, context, make, new_point, server, sink_of
from peers.pi_web_api import PiWebApi

fixtures = server, context, make


# ---- writing ----------------------------------------------------------------------------------


async def test_a_value_is_written_at_its_time_with_its_option(server: PiWebApi, make: Make) -> None:
    connector, name = make(), new_point(server)
    await connector.write_tag(name, 1.0, DAY)
    await connector.write_tag(name, 2.0, DAY, update="NoReplace")
    assert [s.value for s in await connector.read_history(name, DAY, DAY)] == [1.0]
    await connector.write_tag(name, 2.0, DAY, update="Remove")
    assert await connector.read_history(name, DAY, DAY) == []


@pytest.mark.parametrize(
    ("tag", "value", "error"),
    [
        ("COUNT", 485.5, "no fractions"),
        ("SETPOINT", "no number", "Float64"),
        ("TEXT", 5, "holds text"),
        ("SETPOINT", float("nan"), "cannot hold"),
    ],
)
async def test_what_a_point_cannot_hold_as_it_is_is_not_sent(
    tag: str, value: Any, error: str, server: PiWebApi, make: Make
) -> None:
    before = server.requests(r"POST streams/.*/value")
    with pytest.raises(DataError, match=error):
        await make().write(tag, value)
    assert server.requests(r"POST streams/.*/value") == before


async def test_a_digital_point_takes_the_names_of_its_states(server: PiWebApi, make: Make) -> None:
    connector, name = make(), f"TEST.{now_ns()}"
    server.create(name, "Digital", digital_set="Modes")
    await connector.write(name, "Remote")
    assert await connector.read_tag(name) == "Remote"
    with pytest.raises(RequestFailed, match="Turbo"):
        await connector.write(name, "Turbo")
    assert server.value(name)["Name"] == "Remote"


async def test_many_values_have_an_answer_each_and_one_audit_entry(
    server: PiWebApi, make: Make, context: Context
) -> None:
    connector, name = make(), new_point(server)
    with pytest.raises(PartialWrite) as caught:
        await connector.write_tags(
            [
                Sample(name, 1.5, to_ns(DAY)),
                Sample("ABSENT", 1.0, to_ns(DAY)),
                Sample("MODE", "Turbo", to_ns(DAY)),
                Sample(name, 2.5, to_ns(DAY) + SECOND, Quality.UNCERTAIN),
            ]
        )
    assert set(caught.value.rejected) == {1, 2}
    assert "Turbo" in caught.value.rejected[2]
    stored = await connector.read_history(name, DAY, DAY + timedelta(seconds=1))
    assert [(s.value, s.quality) for s in stored] == [(1.5, 0), (2.5, Quality.UNCERTAIN)]
    context.audit.close()
    (entry,) = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert entry["after"] == [1.5, 1.0, "Turbo", 2.5]
    assert name in entry["subject"]


async def test_values_of_now_are_written_by_name(server: PiWebApi, make: Make) -> None:
    one, two = new_point(server), new_point(server)
    await make().write_tags({one: 1.0, two: 2.0})
    assert (server.value(one), server.value(two)) == (1.0, 2.0)


async def test_a_server_that_takes_no_writes_says_that_a_person_must_act(
    context: Context, make: Make
) -> None:
    with PiWebApi(read_only=True) as server:
        server.create("SETPOINT")
        with pytest.raises(AuthFailed, match="read-only"):
            await make({**server.config}).write("SETPOINT", 1.0)


# ---- the output -------------------------------------------------------------------------------


def rows_of(server: PiWebApi, *names: str) -> list[tuple[str, Any]]:
    return [
        (n, json.loads(v)) for n, _, v, *_ in server.rows() if n in names and "Created" not in v
    ]


async def test_points_that_are_missing_are_named_and_the_rest_is_written(
    server: PiWebApi, make: Make
) -> None:
    name, now = new_point(server), now_ns()
    with pytest.raises(PartialWrite) as caught:
        await sink_of(make()).write([Sample(name, 1.0, now), Sample("NOT.THERE", 2.0, now)])
    assert set(caught.value.rejected) == {1}
    assert "NOT.THERE" in caught.value.rejected[1]
    assert rows_of(server, name) == [(name, 1.0)]


async def test_a_point_that_is_made_carries_unit_and_description(
    server: PiWebApi, make: Make, context: Context
) -> None:
    context.tags.configure(Tag(name="o2", unit="%", description="Flue gas oxygen"))
    sink = sink_of(make(), create_points=True, point_prefix="GL002.")
    await sink.write([Sample("o2", 3.2, now_ns()), Sample("mode", "auto", now_ns())])
    base = server.open()
    oxygen, mode = base.point("GL002.o2"), base.point("GL002.mode")
    base.close()
    assert oxygen is not None
    assert mode is not None
    assert (oxygen.unit, oxygen.descriptor, oxygen.type) == ("%", "Flue gas oxygen", "Float64")
    assert (mode.type, bool(mode.step)) == ("String", True)


async def test_samples_that_the_archive_cannot_tell_apart_are_merged_and_said(
    server: PiWebApi, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    name, sink = new_point(server), sink_of(make())
    await sink.write([Sample(name, float(n), to_ns(DAY) + n * 1_000) for n in range(5)])
    assert rows_of(server, name) == [(name, 4.0)]
    assert sink.merged == 4  # type: ignore[attr-defined]
    assert sum("keeps the later" in r.message for r in caplog.records) == 1


async def test_a_batch_larger_than_a_request_may_be_is_several(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, kind="String")
    before = server.requests("POST streamsets/recorded")
    batch = [Sample(name, f"{n}{'x' * 900}", to_ns(DAY) + n * SECOND) for n in range(5000)]
    await sink_of(make(timeout=60)).write(batch)
    assert len(rows_of(server, name)) == 5000
    assert server.requests("POST streamsets/recorded") - before == 5


async def test_a_point_that_has_gone_since_is_made_again(server: PiWebApi, make: Make) -> None:
    sink, now = sink_of(make(), create_points=True), now_ns()
    await sink.write([Sample("TEST.gone", 1.0, now)])
    server.delete("TEST.gone")
    with pytest.raises(Busy, match="has just gone"):
        await sink.write([Sample("TEST.gone", 2.0, now)])
    await sink.write([Sample("TEST.gone", 2.0, now)])
    assert rows_of(server, "TEST.gone") == [("TEST.gone", 2.0)]


async def test_no_replace_leaves_what_is_there(server: PiWebApi, make: Make) -> None:
    name, now = new_point(server), to_ns(DAY)
    sink = sink_of(make(), update="NoReplace")
    for value in (1.0, 2.0):
        await sink.write([Sample(name, value, now)])
    assert rows_of(server, name) == [(name, 1.0)]
