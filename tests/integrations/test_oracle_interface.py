"""Meter readings through the open interface table: handed over once, and asked after until told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot

from gl002.action import Action
from gl002.errors import Busy, ConfigError, DataError, GL002Error, RequestFailed
from gl002.integrations.enterprise import OracleConnector
from gl002.transport.oracle import statements
from gl002.transport.oracle.settings import OracleConfig
from peers import vendors
from peers.oracle_ebs import OracleEBS

ONCE = {"max_attempts": 1}
BOILER = "BOILER-001"
SEQUENCE = "CSI.ROWS_OF_THE_INTERFACE_S"
LATER = "GL002-LATER"  # a batch that is imported when the test says so
SUITE = OracleConfig.model_validate({"host": "o", "readings_interface": {"sequence": SEQUENCE}})


@pytest.fixture(scope="module")
def ebs() -> Iterator[OracleEBS]:
    with OracleEBS() as running:
        yield running


@pytest.fixture
def oracle(ebs: OracleEBS) -> Iterator[OracleConnector]:
    with connected(ebs) as connector:
        yield connector


def connected(ebs: OracleEBS, **changes: Any) -> OracleConnector:
    interface = {"sequence": SEQUENCE, "batch": LATER, **changes}
    return OracleConnector({**ebs.config, "readings_interface": interface, "retry_policy": ONCE})


def performance(key: str, **quantities: float) -> Action:
    fields = {"asset_number": BOILER, **quantities}
    return Action(name="update_asset_performance", fields=fields, key=key)


def high_fuel(ebs: OracleEBS) -> None:
    """Let the fuel meter show 900, so that a reading of 1 is refused."""
    ebs.write("INSERT INTO csi_counter_readings (counter_id, counter_reading) VALUES (503, 900)")


def rows_of(ebs: OracleEBS, key: str) -> list[tuple[Any, ...]]:
    return ebs.rows(
        "SELECT counter_id, counter_reading, process_status FROM csi_ctr_readings_interface"
        " WHERE attribute15 = ? ORDER BY counter_interface_id", key,
    )  # fmt: skip


def test_readings_wait_in_the_table_until_they_are_imported(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    handed = oracle.update_asset_performance(BOILER, efficiency=85.4, runtime_hours=10, key="I-1")
    assert [(r.meter, r.value, r.waiting) for r in handed] == [
        ("B1 EFF", 85.4, True), ("B1 RUN", 10.0, True),
    ]  # fmt: skip
    assert rows_of(ebs, "I-1") == [(501, 85.4, "R"), (502, 10, "R")]

    ebs.import_readings(LATER)
    recorded = oracle.update_asset_performance(BOILER, efficiency=85.4, runtime_hours=10, key="I-1")
    ids = [row[0] for row in ebs.rows(
        "SELECT counter_value_id FROM csi_counter_readings WHERE attribute15 = 'I-1'"
        " ORDER BY counter_value_id"
    )]  # fmt: skip
    assert [(r.id, r.waiting) for r in recorded] == [(ids[0], False), (ids[1], False)]


def test_a_row_says_who_and_what_for(ebs: OracleEBS, oracle: OracleConnector) -> None:
    oracle.update_asset_performance(BOILER, efficiency=80.0, key="I-2")
    (row,) = ebs.rows(
        "SELECT batch_name, source_transaction_type_id, source_transaction_id, source_code,"
        " disabled_flag, created_by, last_updated_by FROM csi_ctr_readings_interface"
        " WHERE attribute15 = 'I-2'"
    )
    assert row == (LATER, 80, 70001, "GL-002", "N", 1318, 1318)


def test_an_action_is_done_when_oracle_has_imported_it(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    action = performance("I-3", efficiency=85.0)
    assert oracle.find(action) is None
    for again in (oracle.perform, oracle.find, oracle.perform):
        with pytest.raises(Busy, match="B1 EFF wait in CSI_CTR_READINGS_INTERFACE") as caught:
            again(action)
        assert "scheduled" in (caught.value.hint or "")
    assert rows_of(ebs, "I-3") == [(501, 85, "R")]
    ebs.import_readings(LATER)
    found = oracle.find(action)
    assert found is not None
    assert found.already
    assert ebs.rows(
        "SELECT counter_value_id FROM csi_counter_readings WHERE attribute15 = 'I-3'"
    ) == [(int(found.number),)]  # fmt: skip


def test_what_the_program_purges_is_found_among_the_readings(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    action = performance("I-4", efficiency=84.0)
    with pytest.raises(Busy):
        oracle.perform(action)
    ebs.import_readings(LATER)
    before = oracle.find(action)
    ebs.write("DELETE FROM csi_ctr_readings_interface WHERE process_status = 'P'")
    assert before is not None
    assert oracle.find(action) == before
    assert oracle.perform(action).number == before.number


def test_a_refusal_of_the_import_is_the_actions_end_and_a_person_can_mend_it(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    high_fuel(ebs)
    action = performance("I-5", efficiency=83.0, fuel_consumption=1.0)
    with pytest.raises(Busy):
        oracle.perform(action)
    ebs.import_readings(LATER)
    for ask in (oracle.find, oracle.perform):
        with pytest.raises(DataError, match=r"B1 FUEL 1: .* below 90\d\.; 1 others are") as caught:
            ask(action)
        assert "COUNTER_INTERFACE_ID" in (caught.value.hint or "")
    assert [row[2] for row in rows_of(ebs, "I-5")] == ["P", "E"]

    ebs.write(
        "UPDATE csi_ctr_readings_interface SET counter_reading = 901, process_status = 'R'"
        " WHERE attribute15 = 'I-5' AND process_status = 'E'"
    )
    ebs.import_readings(LATER)
    found = oracle.find(action)
    assert found is not None
    assert found.detail == "B1 EFF 83; B1 FUEL 901"


def test_a_row_that_a_person_deletes_is_handed_over_again(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    high_fuel(ebs)
    action = performance("I-6", efficiency=82.0, fuel_consumption=1.0)
    with pytest.raises(Busy):
        oracle.perform(action)
    ebs.import_readings(LATER)
    ebs.write("DELETE FROM csi_ctr_readings_interface WHERE process_status = 'E'")
    assert oracle.find(action) is None
    with pytest.raises(Busy, match="B1 FUEL wait"):
        oracle.perform(action)
    assert rows_of(ebs, "I-6") == [(501, 82, "P"), (503, 1, "R")]


def test_rows_are_handed_over_all_or_none(ebs: OracleEBS, oracle: OracleConnector) -> None:
    ebs.fault("commit", 2091)
    with pytest.raises(GL002Error, match="ORA-02091"):
        oracle.update_asset_performance(BOILER, efficiency=1.0, runtime_hours=11, key="I-7")
    assert rows_of(ebs, "I-7") == []
    oracle.update_asset_performance(BOILER, efficiency=1.0, key="I-8")
    assert rows_of(ebs, "I-7") == []


def test_without_a_key_readings_are_told_apart_all_the_same(
    ebs: OracleEBS, oracle: OracleConnector
) -> None:
    first = oracle.update_asset_performance(BOILER, efficiency=70.0)
    second = oracle.update_asset_performance(BOILER, efficiency=70.0)
    assert first[0].id != second[0].id


def test_an_import_that_runs_at_once_is_told_at_once(ebs: OracleEBS) -> None:
    high_fuel(ebs)
    with connected(ebs, batch="GL002") as oracle:
        (reading,) = oracle.update_asset_performance(BOILER, efficiency=86.0)
        assert not reading.waiting
        with pytest.raises(DataError, match="below"):
            oracle.update_asset_performance(BOILER, fuel_consumption=1.0)


def test_a_sequence_that_is_not_there_is_refused_before_anything_is_kept(ebs: OracleEBS) -> None:
    with (
        connected(ebs, sequence="CSI.NO_SUCH_S") as oracle,
        pytest.raises(RequestFailed, match="ORA-02289") as caught,
    ):
        oracle.update_asset_performance(BOILER, efficiency=1.0, key="I-9")
    assert "sequence" in (caught.value.hint or "")
    assert rows_of(ebs, "I-9") == []


def test_a_rehearsal_names_the_table_and_the_batch(oracle: OracleConnector) -> None:
    text = oracle.rehearse(performance("I-10", efficiency=1.0))
    assert text.startswith(f"INSERT INTO CSI_CTR_READINGS_INTERFACE (batch {LATER})")


# ---- configuration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interface", "said"),
    [
        ({}, "sequence"),
        ({"sequence": "s.NEXTVAL FROM dual; DROP TABLE x"}, "name of a sequence"),
        ({"sequence": "a.b.c"}, "name of a sequence"),
        ({"sequence": "1S"}, "name of a sequence"),
        ({"sequence": SEQUENCE, "batch": "x" * 31}, "batch"),
        ({"sequence": SEQUENCE, "bach": "x"}, "did you mean 'batch'"),
    ],
)
def test_a_wrong_interface_is_refused_by_name(interface: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        OracleConnector({"host": "o", "password": "p", "readings_interface": interface})


def test_fusion_has_no_such_table() -> None:
    with pytest.raises(ConfigError, match="is of E-Business Suite"):
        OracleConnector({"url": "https://o", "readings_interface": {"sequence": SEQUENCE}})


# ---- statements -----------------------------------------------------------------------------


def test_the_statements_are_one_query_or_one_insert_each() -> None:
    for query in (statements.handed_over(SUITE), statements.next_interface_id(SEQUENCE)):
        (parsed,) = sqlglot.parse(query, read="oracle")
        assert isinstance(parsed, sqlglot.exp.Select)
    (insert,) = sqlglot.parse(statements.hand_over_reading(SUITE), read="oracle")
    assert isinstance(insert, sqlglot.exp.Insert)
    assert len(insert.this.expressions) == len(insert.expression.expressions[0].expressions)


def test_a_parser_of_others_understands_them_as_oracles() -> None:
    insert = statements.hand_over_reading(SUITE)
    texts = {
        "handed over": statements.handed_over(SUITE), "hand over": insert,
        "next": statements.next_interface_id(SEQUENCE),
        "broken": insert.replace("VALUES", ""),
    }  # fmt: skip
    found = vendors.run("plsql_parser.py", json.dumps(texts))
    assert [name for name, problem in found.items() if problem] == ["broken"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("counter_reading,", "counter_value,", "ORA-00904"),
        ("csi_ctr_readings_interface", "csi_counter_readings", "ORA-01031"),
        (":batch_name,", "NULL,", "ORA-01400"),
        (":batch_name,", f"'{'x' * 31}',", "ORA-12899"),
        ("VALUES", "VALUES VALUES", "ORA-00933"),
    ],
)
def test_the_peer_refuses_what_oracle_would_refuse(
    tmp_path: Any, old: str, new: str, code: str
) -> None:
    import re
    import sqlite3

    from peers.oracle.ebs import EBusinessSuite
    from peers.oracle.schema import SCHEMA
    from peers.oracle.server import OraError

    sqlite3.connect(tmp_path / "e.db").executescript(SCHEMA)
    suite = EBusinessSuite(tmp_path / "e.db")
    insert = statements.hand_over_reading(SUITE)
    assert old in insert
    text = insert.replace(old, new)
    with pytest.raises(OraError, match=code):
        suite.execute(text, [1] * len(re.findall(r":\w+", text)))


def test_a_check_shows_whether_the_table_is_there_for_us(ebs: OracleEBS) -> None:
    with connected(ebs) as oracle:
        assert "readings by batch GL002-LATER" in oracle.check().detail
    ebs.write("ALTER TABLE csi_ctr_readings_interface RENAME TO away")
    try:
        with connected(ebs) as oracle:
            health = oracle.check()
    finally:
        ebs.write("ALTER TABLE away RENAME TO csi_ctr_readings_interface")
    assert not health.ok
    assert "ORA-00942" in health.detail
    assert "rights" in health.detail
