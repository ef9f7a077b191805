"""E-Business Suite in trouble: nothing is kept by halves, and an error says what follows."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
)
from gl002.integrations.enterprise import AsyncOracleConnector, OracleConnector
from gl002.security.network import Endpoint, Network
from gl002.transport.oracle.door import LARGEST_ANSWER, Door
from gl002.transport.oracle.maintenance import AssetPerformanceForm, WorkOrderForm
from peers.oracle_ebs import OracleEBS

ONCE = {"max_attempts": 1}
BOILER = "BOILER-001"
ORDER = {"asset_number": BOILER, "description": "Soot blowing required"}
NAMELESS = 1.25  # a reading of this value is recorded there, and its id is not told


@pytest.fixture(scope="module")
def ebs() -> Iterator[OracleEBS]:
    with OracleEBS() as running:
        yield running


@pytest.fixture
def oracle(ebs: OracleEBS) -> Iterator[OracleConnector]:
    with OracleConnector({**ebs.config, "retry_policy": ONCE}) as connector:
        yield connector


def readings(ebs: OracleEBS) -> int:
    ((count,),) = ebs.rows("SELECT count(*) FROM csi_counter_readings")
    return int(count)


def orders(ebs: OracleEBS) -> int:
    ((count,),) = ebs.rows("SELECT count(*) FROM wip_entities")
    return int(count)


# ---- one transaction, whole or not at all ---------------------------------------------------


def test_what_could_not_be_rolled_back_is_not_committed_by_the_next_call(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    oracle.update_asset_performance(BOILER, fuel_consumption=600_000)
    before = readings(ebs)
    ebs.fault("rollback", 1013)
    with pytest.raises(ConnectFailed, match=r"could not be rolled back.*ORA-01013"):
        oracle.update_asset_performance(BOILER, efficiency=80.0, fuel_consumption=1.0)
    oracle.update_asset_performance(BOILER, efficiency=81.0)
    assert readings(ebs) == before + 1


def test_a_success_that_tells_no_id_is_no_success(ebs: OracleEBS, oracle: OracleConnector) -> None:
    before = readings(ebs)
    with pytest.raises(RequestFailed, match="reading_id"):
        oracle.update_asset_performance(BOILER, efficiency=NAMELESS)
    oracle.update_asset_performance(BOILER, efficiency=81.0)
    assert readings(ebs) == before + 1


def test_a_commit_that_is_refused_leaves_nothing_behind(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    before = orders(ebs)
    ebs.fault("commit", 2091)
    with pytest.raises(GL002Error, match="ORA-02091"):
        oracle.create_work_order(ORDER, key="GL-REFUSED")
    oracle.create_work_order(ORDER)
    assert orders(ebs) == before + 1
    assert oracle.find_work_order("GL-REFUSED") is None


def test_packages_that_were_compiled_anew_do_not_forget_who_we_are(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    oracle.connect()
    ebs.fault("block", 4068)
    with pytest.raises(ConnectFailed, match="ORA-04068"):
        oracle.create_work_order(ORDER)
    wo = oracle.create_work_order(ORDER)
    assert ebs.rows(
        "SELECT created_by FROM wip_discrete_jobs WHERE wip_entity_id = ?", wo.id
    ) == [(1318,)]  # fmt: skip


async def test_a_request_that_waited_for_another_session_does_not_enter_the_next(
    ebs: OracleEBS,
) -> None:
    oracle = AsyncOracleConnector({**ebs.config, "retry_policy": ONCE})
    await oracle.connect()
    base = oracle._product._base  # type: ignore[attr-defined]  # the session under the requests
    held, waiting = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> None:
        held.set()
        await waiting.wait()

    async def late(call: Any) -> None:
        await call.ping()

    first = asyncio.create_task(base.run(hold))
    await held.wait()
    second = asyncio.create_task(base.run(late))
    await asyncio.sleep(0)  # it waits for its turn
    await base.open()
    waiting.set()
    await first
    with pytest.raises(ConnectFailed, match="just ended"):
        await second
    await oracle.close()


async def test_a_request_of_an_earlier_session_that_is_given_up_takes_the_next_one_from_nobody(
    ebs: OracleEBS,
) -> None:
    oracle = AsyncOracleConnector({**ebs.config, "retry_policy": ONCE})
    await oracle.connect()
    base = oracle._product._base  # type: ignore[attr-defined]  # the session under the requests
    held = asyncio.Event()

    async def hold(_: Any) -> None:
        held.set()
        await asyncio.Event().wait()

    async def ping(call: Any) -> None:
        await call.ping()

    earlier = asyncio.create_task(base.run(hold))
    await held.wait()
    await base.open()
    earlier.cancel()
    with suppress(asyncio.CancelledError):
        await earlier
    await base.run(ping)
    await oracle.close()


# ---- what an error means --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (60, Busy), (51, Busy), (1653, Busy), (30006, Busy), (4021, Busy),
        (4061, ConnectFailed), (4065, ConnectFailed), (12571, ConnectFailed),
        (1, DataError), (1400, DataError), (1438, DataError), (12899, DataError),
        (6502, DataError), (1017, PasswordRefused), (1031, RequestFailed), (904, RequestFailed),
    ],
)  # fmt: skip
def test_each_number_of_oracles_means_what_follows_from_it(
    ebs: OracleEBS, oracle: OracleConnector, number: int, kind: type[GL002Error]
) -> None:
    oracle.connect()
    ebs.fault("block", number)
    with pytest.raises(GL002Error, match=f"ORA-{number:05}") as caught:
        oracle.create_work_order(ORDER)
    assert type(caught.value) is kind


@pytest.mark.parametrize("number", [18, 20, 257, 2391, 12516, 12519, 12520])
def test_a_database_that_has_no_room_for_us_is_a_connection_that_failed(
    ebs: OracleEBS, number: int
) -> None:
    ebs.fault("block", number)  # the first one of a session makes us known to the applications
    with pytest.raises(ConnectFailed) as caught:
        OracleConnector({**ebs.config, "retry_policy": ONCE}).connect()
    assert caught.value.retryable


def test_an_unexpected_end_within_a_package_is_tried_again(oracle: OracleConnector) -> None:
    with pytest.raises(Busy, match="unable to extend"):
        oracle.create_work_order({**ORDER, "description": "fails inside"})


def test_a_password_of_an_old_kind_is_for_a_person() -> None:
    class Old(OracleEBS):
        def command(self) -> Sequence[str]:
            return [*super().command(), "0x939"]

    with Old() as old, pytest.raises(AuthFailed, match="DPY-3015") as caught:
        OracleConnector({**old.config, "retry_policy": ONCE}).connect()
    assert "password again" in (caught.value.hint or "")


def test_messages_of_many_bytes_do_not_undo_what_was_made(oracle: OracleConnector) -> None:
    wo = oracle.create_work_order({**ORDER, "description": "with many warnings"})
    assert wo.number
    assert len(wo.warnings) > 30
    assert wo.warnings[0] == f"0: {'ü' * 95}"


def test_text_with_more_bytes_than_letters_is_refused_with_that_reason(
    oracle: OracleConnector,
) -> None:
    with pytest.raises(DataError, match="ORA-06502") as caught:
        oracle.create_work_order({**ORDER, "description": "ü" * 240})
    assert "bytes" in (caught.value.hint or "")


# ---- what is not quite what it seems --------------------------------------------------------


def test_a_rebuildable_without_a_serial_number_has_none(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    wo = oracle.create_work_order({**ORDER, "asset_number": "BURNER-1"})
    assert ebs.rows(
        "SELECT maintenance_object_id FROM wip_discrete_jobs WHERE wip_entity_id = ?", wo.id
    ) == [(70004,)]  # fmt: skip


def test_a_responsibility_that_begins_later_is_none_yet(ebs: OracleEBS) -> None:
    with pytest.raises(AuthFailed, match="NEW has no responsibilities"):
        OracleConnector({**ebs.config, "apps_user": "new", "retry_policy": ONCE}).connect()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reading_that_is_no_number_is_refused_by_name(
    oracle: OracleConnector, value: float
) -> None:
    for given in ({"efficiency": value}, {"o2": value}):
        with pytest.raises(DataError, match="finite"):
            oracle.update_asset_performance(BOILER, **given)


def test_two_quantities_cannot_be_one_meter(ebs: OracleEBS) -> None:
    config = {**ebs.config, "meters": {"o2": "EFFICIENCY"}, "retry_policy": ONCE}
    with (
        OracleConnector(config) as oracle,
        pytest.raises(DataError, match="efficiency and o2 are both"),
    ):
        oracle.update_asset_performance(BOILER, efficiency=80.0, o2=3.0)


def test_a_number_that_two_organizations_have_is_not_guessed(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    for organization in (204, 205):
        number = 90_000 + organization
        ebs.write("INSERT INTO wip_entities VALUES (?, ?, 'TWICE', '')", number, organization)
        ebs.write(
            "INSERT INTO wip_discrete_jobs (wip_entity_id, organization_id, status_type)"
            " VALUES (?, ?, 1)", number, organization,
        )  # fmt: skip
    with pytest.raises(RequestFailed, match="2 organizations"):
        oracle.find_work_order("TWICE")


def test_all_of_one_form_is_of_one_moment() -> None:
    reading = AssetPerformanceForm.filled({"asset_number": BOILER, "efficiency": 1.0}, "x")
    order = WorkOrderForm.filled(ORDER, "x")
    assert reading.at == reading.at
    assert order.start == order.start


# ---- an answer without an end ---------------------------------------------------------------


async def test_an_answer_without_an_end_is_cut_off_before_it_fills_the_memory() -> None:
    data = struct.pack(">IBBH", 8192, 6, 0, 0) + bytes(8184)
    noticed = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        accepted = struct.pack(">H", 319) + bytes(22) + struct.pack(">I", 8192) + bytes(20)
        writer.write(struct.pack(">HHBBH", 8 + len(accepted), 0, 2, 0, 0) + accepted)
        try:
            while True:
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.close()
            noticed.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    network = Network()
    network.name(endpoint)
    door = Door(endpoint, network, None)
    near, to_near = await asyncio.open_connection("127.0.0.1", await door.open(30))
    to_near.write(b"connect")
    carried = 0
    with suppress(OSError):  # cut, not closed
        while piece := await near.read(65536):
            carried += len(piece)
    assert carried <= LARGEST_ANSWER + 8192
    assert "more than" in str(door.why)
    to_near.close()
    await door.shut()
    async with asyncio.timeout(30):
        await noticed.wait()
    server.close()
    await server.wait_closed()


def test_a_responsibility_that_has_no_beginning_counts(ebs: OracleEBS) -> None:
    ebs.write("INSERT INTO fnd_user VALUES (1700, 'ROLE', '2020-01-01', NULL)")
    ebs.write("INSERT INTO fnd_user_resp_groups VALUES (1700, 50578, 426, 0, NULL, NULL)")
    with OracleConnector({**ebs.config, "apps_user": "role", "retry_policy": ONCE}) as oracle:
        assert "ROLE with GL002_MAINTENANCE" in oracle.check().detail
