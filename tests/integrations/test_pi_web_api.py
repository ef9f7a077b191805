"""Our PI Web API, read by the vendor's own client library; what it refuses; and ours beside it."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from gl002.wire import pi_web_id
from peers.pi import times
from peers.pi_client import ask, call
from peers.pi_web_api import PASSWORD, SERVER, TOKEN, USER, PiWebApi, assets

POINT = f"\\\\{SERVER}\\BA:FLOW"
ATTRIBUTE = f"\\\\{assets.SERVER}\\{assets.DATABASE}\\Boilers\\Boiler1|Steam Flow"
ELEMENT = f"\\\\{assets.SERVER}\\{assets.DATABASE}\\Boilers\\Boiler1"
DATABASE = f"\\\\{assets.SERVER}\\{assets.DATABASE}"
START = times.ticks("2025-01-01T00:00:00Z")
HOUR = 3600 * times.TICKS
DAY = {"start_time": "2025-01-01T00:00:00Z", "end_time": "2025-01-01T04:00:00Z"}


@pytest.fixture(scope="module")
def server() -> Iterator[PiWebApi]:
    with PiWebApi(most=1000) as running:
        running.create("BA:FLOW", unit="lb/h", descriptor="Steam flow")
        running.put("BA:FLOW", *((START + n * HOUR, float(n)) for n in range(5)))
        running.set("BA:FLOW", 4.0)
        running.create("BA:COUNT", "Int16")
        running.create("BA:MODE", "Digital", digital_set="Modes")
        running.create("BA:BOILER1.STEAM_FLOW")
        running.set("BA:BOILER1.STEAM_FLOW", 50000.0)
        yield running


def _asked(server: PiWebApi, *calls: Any) -> list[Any]:
    return ask(server, *calls)


def test_the_vendors_client_makes_the_web_ids_that_we_make(server: PiWebApi) -> None:
    helper = "webIdHelper"
    made = _asked(
        server,
        call(helper, "generate_web_id_by_path", POINT, "@PIPoint"),
        call(helper, "generate_web_id_by_path", f"\\\\{SERVER}", "@PIDataServer"),
        call(helper, "generate_web_id_by_path", DATABASE, "@PIAssetDatabase"),
        call(helper, "generate_web_id_by_path", ELEMENT, "@PIElement"),
        call(helper, "generate_web_id_by_path", ATTRIBUTE, "@PIAttribute", "@PIElement"),
        call(helper, "generate_web_id_by_path", "\\\\Söhne\\Straße 7", "@PIPoint"),
    )
    assert made[:5] == [
        pi_web_id.of_path(POINT), pi_web_id.of_data_server(SERVER),
        pi_web_id.of_database(DATABASE), pi_web_id.of_path(ELEMENT), pi_web_id.of_path(ATTRIBUTE),
    ]  # fmt: skip
    # Python's upper() makes SS of ß, which .NET's ToUpperInvariant does not: ours follows .NET.
    assert made[5] != pi_web_id.of_path("\\\\Söhne\\Straße 7")


def test_the_vendors_client_finds_servers_points_and_assets(server: PiWebApi) -> None:
    found = _asked(
        server,
        call("dataServer", "list"),
        call("point", "get_by_path", POINT),
        call("point", "get", pi_web_id.of_path(POINT)),
        call("dataServer", "get_points", pi_web_id.of_data_server(SERVER), name_filter="BA:*"),
        call("attribute", "get_by_path", ATTRIBUTE),
        call("element", "get_by_path", ELEMENT),
        call("element", "get_attributes", pi_web_id.of_path(ELEMENT)),
        call("assetDatabase", "get_by_path", DATABASE),
        call("assetServer", "list"),
        call("system", "landing"),
    )
    servers, point, same, points, attribute, element, attributes, database, assets_, system = found
    assert servers["items"][0]["name"] == SERVER
    assert (point["name"], point["point_type"], point["id"]) == ("BA:FLOW", "Float64", 1)
    assert (point["engineering_units"], point["descriptor"]) == ("lb/h", "Steam flow")
    assert same == point
    assert {p["name"] for p in points["items"]} >= {"BA:FLOW", "BA:COUNT", "BA:MODE"}
    assert (attribute["type"], attribute["default_units_name"]) == ("Double", "lb/h")
    assert element["name"] == "Boiler1"
    assert "Manufacturer" in {a["name"] for a in attributes["items"]}
    assert database["name"] == assets.DATABASE
    assert assets_["items"][0]["name"] == assets.SERVER
    assert system["product_version"] == "1.19.0.0"


def test_full_web_ids_of_the_server_work_as_path_only_ones_do(server: PiWebApi) -> None:
    ids = [a["web_id"] for a in _asked(
        server, call("point", "get_by_path", POINT), call("attribute", "get_by_path", ATTRIBUTE)
    )]  # fmt: skip
    assert [i[:4] for i in ids] == ["F1DP", "F1Ab"]
    values = _asked(server, *(call("stream", "get_value", i) for i in ids))
    assert [v["value"] for v in values] == [4.0, 50000.0]


def test_the_vendors_client_reads_values_history_and_summaries(server: PiWebApi) -> None:
    web_id = pi_web_id.of_path(POINT)
    value, recorded, grid, plot, summary, sets = _asked(
        server,
        call("stream", "get_value", web_id, time="2025-01-01T00:30:00Z"),
        call("stream", "get_recorded", web_id, **DAY),
        call("stream", "get_interpolated", web_id, interval="30m", **DAY),
        call("stream", "get_plot", web_id, intervals=2, **DAY),
        call("stream", "get_summary", web_id, summary_type=["Average", "Maximum"], **DAY),
        call("streamSet", "get_recorded_ad_hoc", [web_id], **DAY),
    )
    assert value["value"] == 0.5
    assert [i["value"] for i in recorded["items"]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert recorded["items"][1]["timestamp"] == "2025-01-01T01:00:00Z"
    assert [i["value"] for i in grid["items"]] == [n / 2 for n in range(9)]
    assert {i["value"] for i in plot["items"]} >= {0.0, 4.0}
    averages = {i["type"]: i["value"]["value"] for i in summary["items"]}
    assert averages == {"Average": 2.0, "Maximum": 4.0}
    assert [i["value"] for i in sets["items"][0]["items"]] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_vendors_client_creates_a_point_and_writes_with_an_answer_for_each(
    server: PiWebApi,
) -> None:
    made = f"\\\\{SERVER}\\MADE"
    value = {"@": "PITimedValue", "timestamp": "2025-01-01T00:00:00Z", "value": 1.5}
    wrong = {"@": "PITimedValue", "timestamp": "2025-01-01T00:00:01Z", "value": "no number"}
    sets = [{"@": "PIStreamValues", "web_id": pi_web_id.of_path(made), "items": [value, wrong]}]
    _, point, statuses, recorded = _asked(
        server,
        call("dataServer", "create_point", pi_web_id.of_data_server(SERVER),
             {"@": "PIPoint", "name": "MADE", "point_type": "Float32", "point_class": "classic"}),
        call("point", "get_by_path", made),
        call("streamSet", "update_values_ad_hoc", sets, update_option="Replace"),
        call("stream", "get_recorded", pi_web_id.of_path(made), **DAY),
    )  # fmt: skip
    assert point["point_type"] == "Float32"
    (first, second) = statuses["items"][0]["items"]
    assert first["substatus"] == 204
    assert second["substatus"] == 400
    assert "no number" in second["message"]
    assert [i["value"] for i in recorded["items"]] == [1.5]


def test_the_vendors_client_runs_a_batch_whose_second_request_needs_the_first(
    server: PiWebApi,
) -> None:
    requests = {
        "find": {
            "@": "PIRequest", "method": "GET", "resource": f"{server.url}/points?path={POINT}",
        },
        "read": {
            "@": "PIRequest", "method": "GET", "resource": server.url + "/streams/{0}/value",
            "parent_ids": ["find"], "parameters": ["$.find.Content.WebId"],
        },
    }  # fmt: skip
    (answers,) = _asked(server, call("batch", "execute", requests))
    assert answers["read"]["status"] == 200
    assert answers["read"]["content"]["Value"] == 4.0


def test_what_the_vendors_client_asks_wrongly_is_refused_in_the_servers_form(
    server: PiWebApi,
) -> None:
    web_id = pi_web_id.of_path(POINT)
    refused = _asked(
        server,
        call("stream", "get_value", "nonsense"),
        call("stream", "get_value", pi_web_id.of_path(f"\\\\{SERVER}\\ABSENT")),
        call("stream", "get_recorded", web_id, start_time="soon"),
        call("stream", "get_recorded", web_id, max_count=1001),
        call("stream", "get_interpolated", web_id, interval="1 parsec"),
        call("stream", "get_interpolated", web_id, interval="1s", **DAY),
        call("stream", "update_value", web_id, {"@": "PITimedValue", "value": "no number"}),
        call("point", "get_by_path", "nonsense"),
    )
    assert [answer["status"] for answer in refused] == [400, 404, 400, 400, 400, 400, 400, 400]
    assert all(answer["body"]["Errors"] for answer in refused)


# ---- what no client asks by itself --------------------------------------------------------------


def _status(server: PiWebApi, path: str, **keys: Any) -> int:
    log_in = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {
        "Authorization": f"Basic {log_in}",
        "X-Requested-With": "x",
        **keys.pop("headers", {}),
    }
    headers = {name: value for name, value in headers.items() if value}
    body = keys.pop("body", None)
    request = urllib.request.Request(f"{server.url}/{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_refuses_what_the_user_guide_says_it_refuses(server: PiWebApi) -> None:
    assert _status(server, "dataservers") == 200
    assert _status(server, "dataservers", headers={"Authorization": ""}) == 401
    assert _status(server, "batch", body=b"{}", headers={"X-Requested-With": ""}) == 400
    assert _status(server, "batch", body=b"x" * 4 * 1024 * 1024) == 413
    assert _status(server, "batch", body=b"[]") == 400
    assert _status(server, "batch", body=b'{"1": {"Value": NaN}}') == 400
    assert _status(server, "dataservers?path=" + "x" * 20_000) == 414
    assert _status(server, "system", body=b"{}") == 405
    assert _status(server, "nothing") == 404


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("Replace", [(2.0, True)]),
        ("Insert", [(1.0, False), (2.0, False)]),
        ("NoReplace", [(1.0, False)]),
        ("ReplaceOnly", [(2.0, True)]),
        ("Remove", []),
    ],
)
def test_each_update_option_does_what_the_reference_says(
    server: PiWebApi, option: str, values: list[Any]
) -> None:
    name = f"OPTION.{option}"
    server.create(name)
    server.put(name, (START, 1.0))
    item = json.dumps({"Timestamp": "2025-01-01T00:00:00Z", "Value": 2.0}).encode()
    web_id = pi_web_id.of_path(f"\\\\{SERVER}\\{name}")
    path = f"streams/{web_id}/value?updateOption={option}"
    headers = {"Content-Type": "application/json"}
    assert _status(server, path, body=item, headers=headers) == 204
    rows = [(json.loads(v), bool(s)) for n, t, v, _, s in server.rows() if n == name and t == START]
    assert rows == values


def test_a_token_is_asked_for_where_that_is_configured() -> None:
    with PiWebApi(auth="bearer") as server:
        assert _status(server, "dataservers") == 401
        assert _status(server, "dataservers", headers={"Authorization": f"Bearer {TOKEN}"}) == 200
