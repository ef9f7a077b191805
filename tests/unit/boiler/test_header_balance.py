"""Two boilers of the simulated plant on one header: a wrong meter is told from the others."""

from __future__ import annotations

import dataclasses

import pytest

from gl002.boiler.header_balance import Consumer, HeaderMember, balance_header
from gl002.boiler.record import Record
from gl002.boiler.uncertainty import Accuracy

from .test_balancing import BOILER, METER, changed, record

import numpy as np  # isort: skip


def member(name: str, shown: Record) -> HeaderMember:
    return HeaderMember(dataclasses.replace(BOILER, name=name), shown)


def off(shown: Record) -> Record:
    roles = {**shown.roles, "steam_flow": 0.0 * shown.roles["steam_flow"]}
    return dataclasses.replace(shown, roles=roles)


def consumer(tag: str, share: float, *, factor: float = 1.0, boilers: int = 2) -> Consumer:
    return Consumer(tag, factor * share * boilers * record().roles["steam_flow"], METER)


SOUND = [consumer("plant.mill", 0.6), consumer("plant.heating", 0.4)]


def test_meters_in_health_agree_and_the_steam_is_known_better_than_by_one_meter() -> None:
    found = balance_header("h", [member("b1", record()), member("b2", record())], SOUND)
    assert found is not None
    assert (found.by_boiler, found.by_consumer) == ({}, [])
    true = 2 * float(np.mean(record().roles["steam_flow"]))
    assert found.steam == pytest.approx(true, rel=0.01)
    assert found.standard < METER.systematic(true) / 1.4


@pytest.mark.parametrize("factor", [0.93, 1.07])
def test_a_wrong_meter_of_a_boiler_is_named_with_its_boiler(factor: float) -> None:
    members = [member("b1", record()), member("b2", changed("steam_flow", factor))]
    found = balance_header("h", members, SOUND)
    assert found is not None
    assert list(found.by_boiler) == ["b2"]
    assert [finding.role for finding in found.by_boiler["b2"]] == ["steam_flow"]
    assert "on h" in found.by_boiler["b2"][0].reason
    assert found.by_consumer == []


def test_a_wrong_meter_of_the_header_is_named_and_no_boiler() -> None:
    meters = [consumer("plant.all", 1.0, factor=1.1)]
    found = balance_header("h", [member("b1", record()), member("b2", record())], meters)
    assert found is not None
    assert found.by_boiler == {}
    assert [finding.role for finding in found.by_consumer] == ["plant.all"]
    right = 2 * float(np.mean(record().roles["steam_flow"]))
    told = float(found.by_consumer[0].reason.split("would be ")[1].split()[0])
    assert told == pytest.approx(right, rel=0.02)


def test_two_meters_of_the_header_cannot_be_told_apart() -> None:
    meters = [SOUND[0], consumer("plant.heating", 0.4, factor=1.2)]
    found = balance_header("h", [member("b1", record()), member("b2", record())], meters)
    assert found is not None
    assert found.by_boiler == {}
    assert {finding.role for finding in found.by_consumer} == {"plant.mill", "plant.heating"}


def test_a_boiler_that_is_off_counts_with_its_steam_alone() -> None:
    meters = [consumer("plant.all", 1.0, boilers=1)]
    found = balance_header("h", [member("b1", record()), member("b2", off(record()))], meters)
    assert found is not None
    assert (found.by_boiler, found.by_consumer) == ({}, [])


def test_one_balance_alone_names_every_meter_it_holds() -> None:
    only = {"steam_flow": record().roles["steam_flow"]}
    bare = dataclasses.replace(record(), roles=only)
    meters = [consumer("plant.all", 1.0, factor=1.1)]
    found = balance_header("h", [member("b1", bare), member("b2", bare)], meters)
    assert found is not None
    assert set(found.by_boiler) == {"b1", "b2"}
    assert "or another of those named" in found.by_consumer[0].reason


def test_too_few_minutes_make_no_judgement() -> None:
    gone = np.where(np.arange(record().size) < 35, np.nan, record().roles["steam_flow"])
    meter = Consumer("plant.all", 2 * gone, Accuracy(reading=1.0))
    assert balance_header("h", [member("b1", record()), member("b2", record())], [meter]) is None
