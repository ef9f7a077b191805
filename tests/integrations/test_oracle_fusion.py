"""Fusion Maintenance: the same calls over REST, refused where its query language could be bent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from gl002.action import Action
from gl002.errors import AuthFailed, Busy, ConfigError, DataError, RequestFailed
from gl002.integrations.enterprise import OracleConnector
from peers.fusion import schema
from peers.oracle_fusion import TOKEN, OracleFusion
from peers.web_server import Reply, Seen, WebServer

ONCE = {"max_attempts": 1}
BOILER = "BOILER-001"
ORDER = {"asset_number": BOILER, "description": "Soot blowing required", "type": "preventive"}
ROOT = "/fscmRestApi/resources/11.13.18.05"


@pytest.fixture(scope="module")
def fusion() -> Iterator[OracleFusion]:
    with OracleFusion() as running:
        yield running


@pytest.fixture
def oracle(fusion: OracleFusion) -> Iterator[OracleConnector]:
    with OracleConnector({**fusion.config, "retry_policy": ONCE}) as connector:
        yield connector


def test_a_work_order_has_a_number_an_id_and_a_status(
    fusion: OracleFusion, oracle: OracleConnector
) -> None:
    wo = oracle.create_work_order({**ORDER, "priority": 2}, key="GL-F1")
    assert (wo.number, wo.status) == ("GL-F1", "Unreleased")
    assert oracle.find_work_order("GL-F1") == wo
    with pytest.raises(DataError, match="work order with this number exists"):
        oracle.create_work_order(ORDER, key="GL-F1")
    assert fusion.rows("SELECT count(*) FROM orders WHERE WorkOrderNumber = 'GL-F1'") == [(1,)]


def test_without_a_key_fusion_numbers_it(oracle: OracleConnector) -> None:
    assert oracle.create_work_order(ORDER).number.startswith("M1-")


def test_readings_that_are_there_are_not_recorded_again(
    fusion: OracleFusion, oracle: OracleConnector
) -> None:
    first = oracle.update_asset_performance(BOILER, efficiency=85.4, key="GL-F2")
    both = oracle.update_asset_performance(BOILER, efficiency=85.4, runtime_hours=168, key="GL-F2")
    assert both[0].id == first[0].id
    assert fusion.rows("SELECT count(*) FROM readings WHERE Comments = 'GL-002 GL-F2'") == [(2,)]


def test_a_token_may_stand_for_the_password(fusion: OracleFusion) -> None:
    config = {"url": fusion.url, "token": TOKEN, "organization": "M1", "retry_policy": ONCE}
    with OracleConnector(config) as oracle:
        assert oracle.check().ok
    with pytest.raises(AuthFailed):
        OracleConnector({**config, "token": "wrong"}).connect()


def test_without_an_organization_it_says_what_to_set(fusion: OracleFusion) -> None:
    with (
        OracleConnector({**fusion.config, "organization": ""}) as oracle,
        pytest.raises(DataError) as caught,
    ):
        oracle.create_work_order(ORDER)
    assert "'organization'" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["x' or '1'='1", "a;b", "a,MeterCode=b", "a\nb", "a&limit=1"])
def test_text_that_would_bend_a_query_is_refused_before_it_is_sent(
    oracle: OracleConnector, text: str
) -> None:
    with pytest.raises(DataError, match="cannot be asked for"):
        oracle.find_work_order(text)
    with pytest.raises(DataError, match="cannot be asked for"):
        oracle.update_asset_performance(text, efficiency=1.0, key="K")


def test_a_refusal_is_in_fusions_words(oracle: OracleConnector) -> None:
    with pytest.raises(DataError, match="The asset number is not valid"):
        oracle.create_work_order({**ORDER, "asset_number": "NO"})


def test_http_in_clear_is_refused_but_for_this_machine() -> None:
    with pytest.raises(ConfigError, match="in clear"):
        OracleConnector({"url": "http://pod.example", "password": "p"})


# ---- the peer itself ------------------------------------------------------------------------


def test_the_peers_answers_are_those_of_the_published_resources(
    fusion: OracleFusion, oracle: OracleConnector
) -> None:
    import base64
    import urllib.request

    oracle.create_work_order(ORDER)
    oracle.update_asset_performance(BOILER, efficiency=80.0)
    said = base64.b64encode(
        f"{fusion.config['username']}:{fusion.config['password']}".encode()
    ).decode()
    finder = f"finder=MetersByAssetMeterUserKey;AssetNumber={BOILER},MeterCode=EFFICIENCY"
    for path, form in (
        ("maintenanceWorkOrders", schema.ORDER),
        (f"meterReadings?{finder}", schema.READING),
    ):
        request = urllib.request.Request(
            f"{fusion.url}{ROOT}/{path}", headers={"Authorization": f"Basic {said}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            items = json.load(answer)["items"]
        assert items
        for item in items:
            jsonschema.validate(item, form)


# ---- answers that are none ------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>log in</html>", headers={"Content-Type": "text/html"}),
        Reply(body=b"[" * 100_000, headers={"Content-Type": "application/json"}),
        Reply(body=b'{"items": 1}', headers={"Content-Type": "application/json"}),
        Reply(body=b'{"items": [{}]}', headers={"Content-Type": "application/json"}),
        Reply(body=b"x" * (9 * 1024 * 1024), headers={"Content-Type": "application/json"}),
    ],
    ids=["a page", "deep", "no list", "no order", "too much"],
)
def test_an_answer_that_is_none_is_an_error(reply: Reply) -> None:
    with WebServer(lambda _: reply) as server:
        oracle = OracleConnector(
            {"url": server.url, "username": "u", "password": "p", "retry_policy": ONCE}
        )
        with pytest.raises(RequestFailed, match="oracle: "):
            oracle.find_work_order("1")
        oracle.close()


@pytest.mark.parametrize(
    "body", [b"<html>proxy</html>", b"{}", b" " * (9 * 1024 * 1024)], ids=["page", "none", "much"]
)
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("create_work_order", ORDER),
        ("update_asset_performance", {"asset_number": BOILER, "efficiency": 85.4}),
    ],
)
def test_an_action_whose_answer_says_nothing_may_have_been_done_and_comes_again(
    name: str, fields: dict[str, Any], body: bytes
) -> None:
    kind = {"Content-Type": "application/json"}

    def answer(seen: Seen) -> Reply:
        nothing = b'{"items": [], "hasMore": false}'
        return Reply(200, nothing, kind) if seen.method == "GET" else Reply(201, body, kind)

    with WebServer(answer) as server:
        oracle = OracleConnector({"url": server.url, "username": "u", "password": "p",
                                  "organization": "M1", "retry_policy": ONCE})  # fmt: skip
        with pytest.raises(Busy, match="it may have been done"):
            oracle.perform(Action(key="GL-F6", name=name, fields=fields))
        oracle.close()
        assert sum(seen.method == "POST" for seen in server.seen) == 1


# ---- what would be doubled ------------------------------------------------------------------


def test_a_reading_without_a_time_is_found_behind_pages_of_newer_ones(
    fusion: OracleFusion, oracle: OracleConnector
) -> None:
    oracle.update_asset_performance("BOILER-002", efficiency=85.4, key="GL-F3")
    later = datetime.now(UTC) - timedelta(hours=12)
    fusion.write("UPDATE readings SET ReadingDate = ? WHERE Comments = 'GL-002 GL-F3'",
                 (later - timedelta(hours=1)).isoformat(timespec="seconds"))  # fmt: skip
    for n in range(250):
        fusion.write(
            "INSERT INTO readings (AssetNumber, MeterCode, ReadingValue, ReadingDate) "
            "VALUES ('BOILER-002', 'EFFICIENCY', 80, ?)",
            (later + timedelta(minutes=n)).isoformat(timespec="seconds"),
        )
    oracle.update_asset_performance("BOILER-002", efficiency=85.4, key="GL-F3")
    assert fusion.rows("SELECT count(*) FROM readings WHERE Comments = 'GL-002 GL-F3'") == [(1,)]


def test_an_order_that_did_not_get_its_number_says_so() -> None:
    made = {"WorkOrderId": 7, "WorkOrderNumber": "M1-1007", "WorkOrderStatus": "Unreleased"}
    reply = Reply(body=json.dumps(made).encode(), headers={"Content-Type": "application/json"})
    with WebServer(lambda _: reply) as server:
        oracle = OracleConnector({"url": server.url, "username": "u", "password": "p",
                                  "organization": "M1", "retry_policy": ONCE})  # fmt: skip
        wo = oracle.create_work_order(ORDER, key="GL-F4")
        oracle.close()
    assert wo.number == "M1-1007"
    assert "GL-F4" in wo.warnings[0]


def test_a_number_that_two_organizations_have_is_not_guessed(
    fusion: OracleFusion, oracle: OracleConnector
) -> None:
    oracle.create_work_order(ORDER, key="GL-F5")
    fusion.write("INSERT INTO orders (WorkOrderNumber, OrganizationCode, WorkOrderStatusCode)"
                 " VALUES ('GL-F5', 'M2', 'ORA_RELEASED')")  # fmt: skip
    with pytest.raises(RequestFailed, match="2 organizations"):
        oracle.find_work_order("GL-F5")
