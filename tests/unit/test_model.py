"""Samples, qualities, tags and times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.model import (
    Quality,
    Sample,
    Tag,
    TagTable,
    is_bad,
    is_good,
    now_ns,
    quality_name,
    severity,
    to_datetime,
    to_ns,
    worst,
)

codes = st.integers(0, 2**32 - 1)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(),
)  # fmt: skip


# ---- samples ----------------------------------------------------------------------------------


@given(st.text(), values, st.integers(0, 2**62), codes)
def test_a_sample_survives_the_store_bit_by_bit(
    tag: str, value: object, moment: int, quality: int
) -> None:
    sample = Sample(tag, value, moment, quality)  # type: ignore[arg-type]
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(sample), type=Sample)
    assert kept == sample
    assert type(kept.value) is type(value)
    assert repr(kept.value) == repr(value)


def test_a_sample_is_good_unless_said_and_does_not_change() -> None:
    sample = Sample("boiler1.steam_flow", 12.6, 1)
    assert is_good(sample.quality)
    with pytest.raises(AttributeError):
        sample.value = 13  # type: ignore[misc]


# ---- quality ----------------------------------------------------------------------------------


@given(codes)
def test_a_status_code_has_one_severity(code: int) -> None:
    assert severity(code) == ("good", "uncertain", "bad", "bad")[code >> 30]
    assert is_good(code) == (severity(code) == "good")
    assert is_bad(code) == (severity(code) == "bad")


@given(st.lists(codes))
def test_the_worst_is_one_of_them_and_none_is_graver(qualities: list[int]) -> None:
    gravest = worst(qualities)
    assert gravest in [*qualities, Quality.GOOD]
    order = ["good", "uncertain", "bad"]
    severities = [order.index(severity(q)) for q in qualities]
    assert order.index(severity(gravest)) == max(severities, default=0)


def test_of_equals_the_first_is_the_worst() -> None:
    first, second = Quality.BAD_TIMEOUT, Quality.BAD_NO_DATA
    assert worst([Quality.GOOD, first, second]) == first
    assert worst(iter([second, first])) == second
    assert worst([]) == Quality.GOOD


@pytest.mark.parametrize("code", list(Quality))
def test_a_code_is_named_as_opc_ua_names_it(code: Quality) -> None:
    assert quality_name(code) == code.name.title().replace("_", "")
    assert quality_name(int(code) | 0x0400) == quality_name(code), "flags do not change the name"
    assert quality_name(code).lower().startswith(severity(code))


def test_a_code_without_a_name_shows_its_number() -> None:
    assert quality_name(0x80FF_0000) == "Bad(0x80FF0000)"
    assert quality_name(0x40FF_0000) == "Uncertain(0x40FF0000)"


# ---- tags -------------------------------------------------------------------------------------


def test_a_later_declaration_completes_and_replaces_but_never_empties() -> None:
    table = TagTable()
    table.declare(Tag(name="a", unit="kg/s", description="flow"))
    table.declare(Tag(name="a", unit="lb/hr", source="modbus"))
    assert table["a"] == Tag(name="a", unit="lb/hr", source="modbus", description="flow")


def test_the_configuration_wins_field_by_field() -> None:
    table = TagTable()
    table.configure(Tag(name="a", unit="kg/s", type="float"))
    table.declare(Tag(name="a", unit="lb/hr", source="modbus", description="flow"))
    assert table["a"] == Tag(
        name="a", unit="kg/s", type="float", source="modbus", description="flow"
    )
    assert (table.unit("a"), table.source_unit("a")) == ("kg/s", "lb/hr")


def test_the_table_is_a_mapping_of_all_it_has_heard_of() -> None:
    table = TagTable()
    table.declare(Tag(name="met"))
    table.declare(Tag(name="both"))
    table.configure(Tag(name="both"))
    table.configure(Tag(name="configured"))
    assert sorted(table) == ["both", "configured", "met"]
    assert len(table) == 3
    assert "met" in table
    assert "none" not in table
    assert (table.unit("none"), table.source_unit("none")) == ("", "")
    with pytest.raises(KeyError):
        table["none"]


def test_what_is_retired_is_no_tag_any_more_and_can_be_looked_up_until_it_is_forgotten() -> None:
    table = TagTable()
    table.declare(Tag(name="gone", unit="kg/s"))
    table.retire(["gone", "never met"])
    assert (list(table), len(table), "gone" in table) == ([], 0, False)
    assert table["gone"].unit == table.unit("gone") == "kg/s"
    table.retired.clear()
    assert (table.get("gone"), table.unit("gone")) == (None, "")


def test_a_tag_that_is_met_again_is_retired_no_more() -> None:
    table = TagTable()
    table.declare(Tag(name="back", unit="kg/s"))
    table.retire(["back"])
    table.declare(Tag(name="back", unit="t/h"))
    table.retired.clear()
    assert table["back"] == Tag(name="back", unit="t/h")


# ---- times ------------------------------------------------------------------------------------


@given(st.integers(-(10**18), 4 * 10**18))
def test_a_time_survives_to_the_microsecond(moment: int) -> None:
    assert to_ns(to_datetime(moment)) == moment // 1000 * 1000


@given(st.datetimes(timezones=st.timezones()))
def test_an_aware_datetime_is_the_same_instant(moment: datetime) -> None:
    assert to_datetime(to_ns(moment)) == moment.astimezone(UTC)


def test_a_datetime_far_away_keeps_its_microseconds() -> None:
    moment = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert to_datetime(to_ns(moment)) == moment


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_a_datetime_without_a_zone_is_local_time_also_in_the_repeated_hour() -> None:
    assert to_ns(datetime(2025, 1, 1)) == to_ns(datetime(2025, 1, 1, 5, tzinfo=UTC))  # noqa: DTZ001
    assert to_ns(datetime(2025, 7, 1)) == to_ns(datetime(2025, 7, 1, 4, tzinfo=UTC))  # noqa: DTZ001
    first = datetime(2025, 11, 2, 1, 30)  # noqa: DTZ001
    assert to_ns(first.replace(fold=1)) - to_ns(first) == 3600 * 10**9


def test_a_zone_is_only_another_name_for_the_instant() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert to_ns(datetime(2025, 1, 1, 5, 30, tzinfo=zone)) == to_ns(
        datetime(2025, 1, 1, tzinfo=UTC)
    )


def test_now_is_now() -> None:
    assert abs(now_ns() - time.time() * 1e9) < 5e9
