"""What the API says is what the gateway knows."""

from __future__ import annotations

import asyncio
import json
import re

import jsonschema
import msgspec
import pytest

from gl002.errors import ConnectFailed
from gl002.flow.status import GatewayStatus
from gl002.model import Quality, Sample, Tag, now_ns
from gl002.security.secrets import Secret
from peers.process import free_port
from web.client import Answer, ask, bearer
from web.house import House, until


async def get(house, path: str) -> Answer:
    answer = await ask(house.port, path, headers=bearer(house.token))
    assert answer.status == 200, answer
    return answer


async def test_health_says_ok_and_nothing_about_the_gateway(house):
    assert (await ask(house.port, "/healthz")).json == {"status": "ok"}


async def test_status_is_that_of_the_gateway_and_converts_back_into_it(house):
    told = (await get(house, "/api/status")).json
    status = msgspec.convert(told, GatewayStatus)
    own = house.gateway.status()
    assert (status.name, status.version, status.writes) == (own.name, own.version, "off")
    assert [i.name for i in status.inputs] == ["opc_ua.primary", "boiler.boiler1"]
    assert [(o.name, o.state) for o in status.outputs] == [("sqlite", "up")]
    assert 0 < status.store.accepted <= own.store.accepted
    assert told["full_in_s"] is None


async def test_status_tells_the_newest_measurement_and_counts_no_calculated_value_as_one(house):
    house.source.silent = True
    measured = house.gateway.hub.latest["boiler1.AT301"].time
    house.gateway.hub.accepted([Sample("boiler1.efficiency_hhv", 1.0, now_ns())])
    async with asyncio.timeout(60):
        while True:  # until the beat after the last measurement that was under way
            told = (await get(house, "/api/status")).json["measured"]
            if told == house.gateway.hub.latest["boiler1.AT301"].time >= measured:
                break
            await asyncio.sleep(0.05)


async def test_a_secret_in_an_error_is_not_shown(house):
    Secret("canary-7f3a9")
    house.source.trouble = ConnectFailed("opc.tcp://user:canary-7f3a9@10.0.0.1: refused")
    await until(lambda: house.gateway.status().inputs[0].state == "retrying")
    for path in ("/api/status", "/metrics"):
        assert b"canary-7f3a9" not in (await get(house, path)).body
    assert "***" in (await get(house, "/api/status")).json["inputs"][0]["error"]


async def test_values_hold_every_tag_with_unit_source_quality_and_age(house):
    values = (await get(house, "/api/values")).json
    assert [v["tag"] for v in values] == sorted(house.gateway.context.tags)
    (oxygen,) = [v for v in values if v["tag"] == "boiler1.AT301"]
    now = house.gateway.hub.latest["boiler1.AT301"]
    assert oxygen["value"] == pytest.approx(now.value, rel=0.5)
    assert 0 <= oxygen["age_s"] < 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", oxygen["time"])
    told = {key: oxygen[key] for key in oxygen.keys() - {"value", "age_s", "time"}}
    assert told == {
        "tag": "boiler1.AT301",
        "unit": "%",
        "stale": False,
        "quality": 0,
        "quality_name": "Good",
        "severity": "good",
        "source": "opc_ua.primary",
        "address": "AT301",
        "description": house.gateway.context.tags["boiler1.AT301"].description,
    }


async def test_values_can_be_chosen_by_patterns(house):
    values = (await get(house, "/api/values?tag=boiler1.AT3*&tag=*.TT301")).json
    assert [v["tag"] for v in values] == ["boiler1.AT301", "boiler1.AT302", "boiler1.TT301"]
    assert (await get(house, "/api/values?tag=nothing")).json == []
    many = "&".join(["tag=x"] * 101)
    refused = await ask(house.port, f"/api/values?{many}", headers=bearer(house.token))
    assert refused.status == 400
    assert "tag" in refused.json["error"]


async def test_a_tag_that_has_never_come_is_listed_as_waiting(house):
    house.gateway.context.tags.declare(Tag(name="late.comer", unit="kPa"))
    (value,) = (await get(house, "/api/values?tag=late.comer")).json
    assert (value["value"], value["time"], value["age_s"]) == (None, None, None)
    assert (value["severity"], value["quality_name"]) == ("bad", "BadWaitingForInitialData")


@pytest.mark.parametrize(
    "value", [True, 2**62, -1.5e-300, 'quoted "text" <&> \u2028 \x00', "", None]
)  # fmt: skip
async def test_any_value_the_store_takes_arrives_as_it_is(house, value):
    house.source.also = [Sample("odd", value, now_ns(), Quality.UNCERTAIN)]
    await until(lambda: "odd" in house.gateway.hub.latest)
    (told,) = (await get(house, "/api/values?tag=odd")).json
    assert told["value"] == value
    assert type(told["value"]) is type(value)
    assert told["severity"] == "uncertain"


async def test_a_trend_is_what_the_output_keeps(house):
    then = now_ns() - 600 * 10**9
    house.source.also = [Sample("odd", float(i), then + i * 10**9) for i in range(5)]
    house.source.also += [Sample("odd", None, then + 90 * 10**9, Quality.BAD)]
    house.gateway.context.tags.declare(Tag(name="odd", unit="kPa"))
    path = "/api/trend?seconds=1200&points=20&tag=odd&tag=nothing"
    odd, nothing = (await get(house, path)).json
    async with asyncio.timeout(60):
        while sum(s["samples"] for s in odd["stretches"]) < 6:
            await asyncio.sleep(0.1)
            odd, nothing = (await get(house, path)).json
    assert (odd["tag"], odd["unit"], nothing["stretches"]) == ("odd", "kPa", [])
    good = [s for s in odd["stretches"] if s["severity"] == "good"]
    assert (min(s["low"] for s in good), max(s["high"] for s in good)) == (0.0, 4.0)
    bad = odd["stretches"][-1]
    assert (bad["low"], bad["mean"], bad["high"], bad["severity"]) == (None, None, None, "bad")
    assert good[0]["start"] < good[0]["end"] <= bad["start"]
    assert (await get(house, "/api/trend")).json == []


@pytest.mark.parametrize(
    "wrong",
    [
        "seconds=0",
        "seconds=nan",
        "seconds=1e99",
        "points=0",
        "points=2001",
        "&".join(["tag=x"] * 21),
    ],
)
async def test_a_trend_of_nothing_or_of_too_much_is_refused(house, wrong):
    answer = await ask(house.port, f"/api/trend?{wrong}", headers=bearer(house.token))
    assert answer.status == 400


async def test_where_no_output_keeps_a_history_a_trend_says_what_would(tmp_path):
    mqtt = "{enabled: [mqtt], mqtt: {broker: 127.0.0.1, port: 1}, "
    flow = "data_flow: {output: [{destination: mqtt, topic: t}]}}"
    async with House(tmp_path, port=free_port(), integrations=mqtt + flow) as house:
        answer = await ask(house.port, "/api/trend?tag=x", headers=bearer(house.token))
    assert answer.status == 503
    assert answer.json == {
        "error": "the gateway cannot answer this now",
        "hint": "add '- destination: sqlite'",
    }


async def test_losses_are_those_of_the_tags_and_close_the_balance(house):
    (boiler,) = (await get(house, "/api/losses")).json
    assert boiler["boiler"] == "boiler1"
    assert [share["name"] for share in boiler["losses"]] == [
        "dry_gas", "hydrogen", "moisture", "co", "surface",
    ]  # fmt: skip
    losses = sum(share["reading"]["value"] for share in boiler["losses"])
    credits_ = sum(share["reading"]["value"] for share in boiler["credits"])
    assert boiler["efficiency_hhv"]["value"] + losses - credits_ == pytest.approx(100)
    assert boiler["efficiency_hhv"]["unit"] == "%"
    assert (boiler["normal_low"], boiler["normal_high"]) == (82.0, 85.0)
    assert boiler["note"] == "good"


async def test_losses_of_one_boiler_and_of_one_that_is_not_there(house):
    assert len((await get(house, "/api/losses?boiler=boiler1")).json) == 1
    answer = await ask(house.port, "/api/losses?boiler=x", headers=bearer(house.token))
    assert answer.status == 404
    assert answer.json == {"error": "there is no boiler 'x'", "hint": "boilers: boiler1"}


async def test_a_boiler_whose_efficiency_comes_in_from_elsewhere_is_shown_too(house):
    house.source.also = [Sample("site2.b7.efficiency_hhv", 81.5, now_ns())]
    await until(lambda: "site2.b7.efficiency_hhv" in house.gateway.hub.latest)
    (boiler,) = (await get(house, "/api/losses?boiler=site2.b7")).json
    assert boiler["efficiency_hhv"]["value"] == 81.5
    assert (boiler["losses"], boiler["normal_low"], boiler["note"]) == ([], None, "")


async def test_a_bad_efficiency_has_no_value_and_says_why(house):
    house.source.plant.fail("bad_quality", "AT301")
    await until(lambda: house.gateway.hub.latest["boiler1.efficiency_note"].value.startswith("bad"))
    (boiler,) = (await get(house, "/api/losses")).json
    assert boiler["efficiency_hhv"]["value"] is None
    assert boiler["efficiency_hhv"]["severity"] == "bad"
    assert "oxygen" in boiler["note"]
    assert "gl002_boiler_efficiency_percent" not in (await get(house, "/metrics")).body.decode()


_SERIES = re.compile(r'^(\w+)(?:\{(\w+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[\d.e+-]+)$')


async def test_metrics_are_in_the_text_format_of_prometheus(house):
    answer = await get(house, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    assert text.endswith("\n")
    series = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.match(r"# (HELP \w+ .+\.|TYPE \w+ (gauge|counter))$", line), line
            continue
        assert _SERIES.match(line), line
        name, _, value = line.rpartition(" ")
        assert name not in series
        series[name] = float(value)
    assert series['gl002_input_up{input="opc_ua.primary"}'] == 1
    assert series['gl002_output_up{output="sqlite"}'] == 1
    assert series["gl002_write_proposals_waiting"] == 0
    assert 70 < series['gl002_boiler_efficiency_percent{boiler="boiler1",basis="hhv"}'] < 90
    assert series['gl002_input_samples_total{input="opc_ua.primary"}'] > 0


async def test_names_in_metrics_are_escaped(house):
    boiler = 'b"1\\\n'
    house.source.also = [Sample(f"{boiler}.efficiency_hhv", 80.0, now_ns())]
    await until(lambda: f"{boiler}.efficiency_hhv" in house.gateway.hub.latest)
    text = (await get(house, "/metrics")).body.decode()
    assert r'{boiler="b\"1\\\n",basis="hhv"} 80' in text


async def test_the_openapi_document_describes_what_is_answered(house):
    document = (await get(house, "/api/openapi.json")).json
    assert document["openapi"].startswith("3.")
    for path in ("/api/status", "/api/values", "/api/losses", "/api/trend"):
        answer = document["paths"][path]["get"]["responses"]["200"]
        schema = answer["content"]["application/json"]["schema"]
        question = "?tag=boiler1.AT301" if path == "/api/trend" else ""
        jsonschema.validate((await get(house, path + question)).json, {**schema, **document})
    schemas = document["components"]["schemas"]
    assert schemas["TagState"]["properties"]["age_s"]["description"].startswith("seconds since")
    outputs = schemas["StatusAnswer"]["properties"]["outputs"]
    assert outputs["items"] == {"$ref": "#/components/schemas/OutputStatus"}
    refused = document["paths"]["/api/values"]["get"]["responses"]["default"]
    schema = refused["content"]["application/json"]["schema"]
    jsonschema.validate((await ask(house.port, "/api/values")).json, {**schema, **document})
    assert document["security"] == [{"token": []}]


async def test_a_fault_of_ours_is_told_without_its_inside(house, caplog):
    house.gateway.hub.latest["broken.efficiency_hhv"] = "inside: /secret/path"  # no sample at all
    answer = await ask(house.port, "/metrics", headers=bearer(house.token))
    assert "AttributeError" in caplog.text
    assert answer.status == 500
    assert answer.json == {"error": "a fault in the gateway", "hint": "its log says more"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_an_unknown_path_is_a_problem_in_json(house):
    answer = await ask(house.port, "/api/nothing", headers=bearer(house.token))
    assert answer.status == 404
    assert json.loads(answer.body) == {"error": "not found", "hint": ""}
