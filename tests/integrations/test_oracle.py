"""Oracle E-Business Suite: what is asked is done once and whole, or refused in Oracle's words."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlglot

from gl002.errors import AuthFailed, ConnectFailed, DataError, GL002Error, RequestFailed
from gl002.integrations.enterprise import AsyncOracleConnector, OracleConnector
from gl002.transport.oracle import statements
from gl002.transport.oracle.settings import OracleConfig
from gl002.wire.tns import Packets
from peers import vendors
from peers.oracle.plsql import Block
from peers.oracle.server import OraError
from peers.oracle_ebs import OracleEBS

ONCE = {"max_attempts": 1}
BOILER = "BOILER-001"
HOSTILE = "'; DROP TABLE wip_entities; -- \" &x :y \N{SNOWMAN}"
ORDER = {"asset_number": BOILER, "description": "Soot blowing required"}


@pytest.fixture(scope="module")
def ebs() -> Iterator[OracleEBS]:
    with OracleEBS() as running:
        yield running


@pytest.fixture
def oracle(ebs: OracleEBS) -> Iterator[OracleConnector]:
    with connected(ebs) as connector:
        yield connector


def connected(ebs: OracleEBS, **changes: Any) -> OracleConnector:
    return OracleConnector({**ebs.config, "retry_policy": ONCE, **changes})


def readings(ebs: OracleEBS) -> list[tuple[Any, ...]]:
    return ebs.rows(
        "SELECT counter_id, counter_reading FROM csi_counter_readings ORDER BY counter_value_id"
    )


# ---- work orders ----------------------------------------------------------------------------


def test_a_work_order_has_a_number_an_id_and_a_status(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    wo = oracle.create_work_order(
        {
            **ORDER, "type": "PREVENTIVE", "priority": 2,
            "scheduled_date": datetime(2026, 12, 3, 5, tzinfo=UTC),
        }
    )  # fmt: skip

    (made,) = ebs.rows(
        "SELECT wip_entity_name, status_type, priority, work_order_type, asset_number, created_by"
        " FROM wip_entities JOIN wip_discrete_jobs USING (wip_entity_id) WHERE wip_entity_id = ?",
        wo.id,
    )
    assert (wo.number, wo.status, wo.warnings) == (made[0], "Unreleased", ())
    assert made[1:] == (1, 2, "20", BOILER, 1318)
    assert oracle.find_work_order(wo.number) == wo


def test_a_time_is_that_of_the_databases_zone(ebs: OracleEBS) -> None:
    with connected(ebs, time_zone="Asia/Tokyo") as oracle:
        wo = oracle.create_work_order(
            {**ORDER, "scheduled_date": datetime(2026, 12, 3, 20, 30, 1, 999_999, tzinfo=UTC)}
        )
    (row,) = ebs.rows(
        "SELECT scheduled_start_date FROM wip_discrete_jobs WHERE wip_entity_id = ?", wo.id
    )
    assert row[0] == "2026-12-04 05:30:01"


def test_a_rebuildable_is_named_by_its_serial_number(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    wo = oracle.create_work_order({**ORDER, "asset_number": "PUMP-7"})
    assert ebs.rows(
        "SELECT maintenance_object_id FROM wip_discrete_jobs WHERE wip_entity_id = ?", wo.id
    ) == [(70002,)]


def test_what_oracle_says_besides_comes_along(oracle: OracleConnector) -> None:
    wo = oracle.create_work_order({**ORDER, "description": "with a warning"})
    assert wo.warnings == ("Material is short for this work order.",)


def test_a_second_order_with_the_same_key_is_refused(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    oracle.create_work_order(ORDER, key="GL-K1")
    with pytest.raises(DataError, match="GL-K1 already exists"):
        oracle.create_work_order(ORDER, key="GL-K1")
    assert ebs.rows("SELECT count(*) FROM wip_entities WHERE wip_entity_name = 'GL-K1'") == [(1,)]


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"asset_number": "BOILER-9"}, "no asset 'BOILER-9'", "must be active"),
        ({"type": "Old"}, "type: Oracle has no 'Old'", "Routine, Preventive, Corrective"),
        ({"status": "Lost"}, "status: Oracle has no 'Lost'", "Unreleased"),
        ({"priority": 9}, "PRIORITY 9 is invalid", ""),
    ],
)
def test_what_oracle_does_not_know_is_refused_by_name(
    ebs: OracleEBS, oracle: OracleConnector, changes: dict[str, Any], said: str, hint: str
) -> None:
    before = ebs.rows("SELECT count(*) FROM wip_entities")
    with pytest.raises(DataError, match=said) as caught:
        oracle.create_work_order({**ORDER, **changes})
    assert hint in (caught.value.hint or "")
    assert ebs.rows("SELECT count(*) FROM wip_entities") == before


def test_a_misspelt_field_is_refused_before_anything_is_sent() -> None:
    oracle = OracleConnector({"host": "127.0.0.1", "port": 9, "password": "p"})
    with pytest.raises(DataError, match="did you mean 'priority'"):
        oracle.create_work_order({**ORDER, "prioritty": 2})


def test_hostile_text_arrives_as_it_is(ebs: OracleEBS, oracle: OracleConnector) -> None:
    wo = oracle.create_work_order({**ORDER, "description": HOSTILE})
    assert ebs.rows("SELECT description FROM wip_entities WHERE wip_entity_id = ?", wo.id) == [
        (HOSTILE,)
    ]
    with pytest.raises(DataError, match="no asset"):
        oracle.create_work_order({**ORDER, "asset_number": "x' OR '1'='1"})


# ---- readings -------------------------------------------------------------------------------


def test_each_quantity_becomes_a_reading_of_its_meter(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    ebs.write("DELETE FROM csi_counter_readings")
    made = oracle.update_asset_performance(
        asset_number=BOILER, efficiency=85.4, runtime_hours=168, fuel_consumption=588000
    )
    assert [(r.meter, r.value) for r in made] == [
        ("B1 EFF", 85.4), ("B1 RUN", 168.0), ("B1 FUEL", 588000.0),
    ]  # fmt: skip
    assert [value for _, value in readings(ebs)] == [85.4, 168, 588000]


def test_one_refused_reading_takes_the_others_back(ebs: OracleEBS, oracle: OracleConnector) -> None:
    oracle.update_asset_performance(BOILER, fuel_consumption=600_000)
    before = readings(ebs)
    with pytest.raises(DataError, match="refuses it"):
        oracle.update_asset_performance(BOILER, efficiency=80.0, fuel_consumption=1.0)
    assert readings(ebs) == before
    oracle.update_asset_performance(BOILER, efficiency=81.0)
    assert len(readings(ebs)) == len(before) + 1


def test_a_quantity_without_a_meter_is_named_with_the_meters_there_are(
    oracle: OracleConnector,
) -> None:
    with pytest.raises(DataError, match="runtime_hours: asset 'BOILER-002' has no") as caught:
        oracle.update_asset_performance("BOILER-002", runtime_hours=1)
    assert "B2 EFF" in (caught.value.hint or "")


def test_meters_of_any_name_can_be_mapped(ebs: OracleEBS) -> None:
    with connected(ebs, meters={"o2": "b2 eff"}) as oracle:
        (made,) = oracle.update_asset_performance("BOILER-002", o2=3.1)
    assert made.meter == "B2 EFF"


# ---- who we are there -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"apps_user": "both"}, "BOTH has 2 responsibilities", "GL002_MAINTENANCE, SYSTEM"),
        ({"apps_user": "left"}, "LEFT has no responsibilities", "give the user one"),
        ({"responsibility": "Cashier"}, "no responsibility 'Cashier'", "GL002_MAINTENANCE"),
    ],
)
def test_a_user_who_is_not_clear_is_refused_with_what_could_be_meant(
    ebs: OracleEBS, changes: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(AuthFailed, match=said) as caught:
        connected(ebs, **changes).connect()
    assert hint in (caught.value.hint or "")


def test_a_responsibility_goes_by_key_or_name(ebs: OracleEBS) -> None:
    for name in ("gl002_maintenance", "GL-002 Maintenance"):
        with connected(ebs, apps_user="BOTH", responsibility=name) as oracle:
            assert "BOTH with GL002_MAINTENANCE" in oracle.check().detail


def test_a_wrong_service_says_where_the_right_one_is_listed(ebs: OracleEBS) -> None:
    with pytest.raises(ConnectFailed) as caught:
        connected(ebs, service="TEST").connect()
    assert 'Service "TEST" is not registered' in str(caught.value)
    assert str(ebs.port) in str(caught.value)
    assert "lsnrctl services" in (caught.value.hint or "")


def test_the_key_finds_what_it_made(ebs: OracleEBS) -> None:
    asset = {"asset_number": BOILER, "efficiency": 84.0}
    from gl002.action import Action

    with connected(ebs) as oracle:
        action = Action(name="update_asset_performance", fields=asset, key="GL-K2")
        assert oracle.find(action) is None
        made = oracle.perform(action)
        again = oracle.find(action)
    assert again is not None
    assert (again.number, again.already) == (made.number, True)


# ---- statements -----------------------------------------------------------------------------

_SUITE = OracleConfig.model_validate({"host": "o"})
_QUERIES = [
    statements.CONTEXT, statements.ASSET, statements.LOOKUPS, statements.ORDER, statements.METERS,
    statements.readings(_SUITE),
]  # fmt: skip


@pytest.mark.parametrize("query", _QUERIES)
def test_every_query_is_one_statement_that_only_reads(query: str) -> None:
    (parsed,) = sqlglot.parse(query, read="oracle")
    assert isinstance(parsed, sqlglot.exp.Select)
    assert not list(parsed.find_all(sqlglot.exp.Star))


def test_a_parser_of_others_understands_every_statement_as_oracles() -> None:
    blocks = {
        "initialize": statements.INITIALIZE, "operating unit": statements.OPERATING_UNIT,
        "order": statements.PROCESS_WO, "reading": statements.create_reading(_SUITE),
    }  # fmt: skip
    queries = {query.split("FROM")[1]: query for query in _QUERIES}
    broken = {
        name: blocks["order"].replace(old, new)
        for name, (old, new) in {
            "loop": ("END LOOP;", "END LOP;"), "assignment": (":=", "="), "begin": ("BEGIN", ""),
        }.items()
    }  # fmt: skip
    found = vendors.run("plsql_parser.py", json.dumps({**blocks, **queries, **broken}))
    assert {name for name, problem in found.items() if problem} == set(broken)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("PROCESS_WO(", "PROCESS_WORK(", "PLS-00302"),
        ("p_bo_identifier", "p_bo_id", "PLS-00306"),
        ("l_wo.priority", "l_wo.prio", "PLS-00302"),
        ("EAM_WO_REC_TYPE", "EAM_WO_REC", "PLS-00302"),
        ("  x_wo EAM_PROCESS_WO_PUB.EAM_WO_REC_TYPE;\n", "", "PLS-00201"),
    ],
)
def test_the_peer_refuses_what_oracle_would_not_compile(
    tmp_path: Any, old: str, new: str, code: str
) -> None:
    import sqlite3

    from peers.oracle.ebs import EBusinessSuite
    from peers.oracle.schema import SCHEMA

    sqlite3.connect(tmp_path / "e.db").executescript(SCHEMA)
    suite = EBusinessSuite(tmp_path / "e.db")
    assert old in statements.PROCESS_WO
    block = Block(statements.PROCESS_WO.replace(old, new), suite._packages)
    with pytest.raises(OraError, match=code):
        block.run([None] * len(block.binds))


# ---- what a listener may send ---------------------------------------------------------------


def packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHBBH", 8 + len(body), 0, kind, 0, 0) + body


def accept(unit: int) -> bytes:
    return packet(2, struct.pack(">H", 319) + bytes(22) + struct.pack(">I", unit) + bytes(20))


def test_whole_packets_pass_however_they_are_cut() -> None:
    sent = accept(8192) + struct.pack(">IBBH", 11, 6, 0, 0) + b"\0\0\x09"
    packets = Packets()
    assert b"".join(p for n in range(len(sent)) for p in packets.feed(sent[n : n + 1])) == sent


def test_a_hand_over_is_noticed_and_hidden_from_the_driver() -> None:
    packets = Packets()
    (resend,) = packets.feed(struct.pack(">HHBBH", 8, 0, 11, 0x08, 0))
    assert packets.handed_over
    assert resend == struct.pack(">HHBBH", 8, 0, 11, 0, 0)
    (plain,) = packets.feed(struct.pack(">HHBBH", 8, 0, 11, 0, 0))
    assert not packets.handed_over
    assert plain == resend


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (accept(2**31), "wants packets of"),
        (accept(8192) + struct.pack(">IBBH", 2**30, 6, 0, 0), "no SQL"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no SQL"),
        (struct.pack(">HHBBH", 4, 0, 6, 0, 0), "no SQL"),
        (packet(2, b"\x01"), "too short"),
        (accept(8192) + struct.pack(">IBBH", 20, 6, 0, 0)
         + b"\0\0\x10\0\x01\x01\x04\x7f\xff\xff\xff\0", "columns"),
    ],
)  # fmt: skip
def test_what_no_database_sends_never_reaches_the_driver(sent: bytes, said: str) -> None:
    with pytest.raises(RequestFailed, match=said):
        list(Packets().feed(sent))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (packet(5, b"\x00\x10(ADDRESS=(HOST=evil)(PORT=1))"), "another address"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no SQL"),
        (accept(2**31), "wants packets of"),
    ],
)
def test_a_listener_that_is_none_is_left_with_the_reason(answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)
                peer.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        config = {
            "host": "127.0.0.1", "port": listener.getsockname()[1], "password": "p",
            "retry_policy": ONCE,
        }  # fmt: skip
        with pytest.raises(ConnectFailed, match=said):
            OracleConnector(config).connect()
        thread.join(30)
        assert not thread.is_alive()


async def test_a_call_that_is_given_up_commits_nothing_later(ebs: OracleEBS) -> None:
    oracle = AsyncOracleConnector({**ebs.config, "retry_policy": ONCE})
    await oracle.connect()
    oracle.set_timeout(500)
    ebs.freeze()
    try:
        with pytest.raises(GL002Error):
            await oracle.create_work_order(ORDER, key="GL-LATE")
    finally:
        ebs.thaw()
    await oracle.close()
    await asyncio.sleep(1)  # what would come late
    assert ebs.rows("SELECT 1 FROM wip_entities WHERE wip_entity_name = 'GL-LATE'") == []
