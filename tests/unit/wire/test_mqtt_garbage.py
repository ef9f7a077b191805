"""100,000 payloads of garbage: no wrong value is believed, no exception, none takes long.

What is true of a payload is read by another implementation: Python's own `json`, jsonpath, the
numbers of `float`, and Eclipse Tahu's codec of Sparkplug B.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import jsonpath
import pytest

from gl002.model import Sample, is_bad
from gl002.transport.mqtt.entries import MQTTInput
from gl002.transport.mqtt.source import Reads
from gl002.wire.mqtt_topic import readable
from gl002.wire.sparkplug import DataType, Metric, Payload, Property, encode
from gl002.wire.sparkplug_host import SparkplugDecoder
from gl002.wire.sparkplug_topic import EVERYTHING
from peers.tahu import Tahu

MANY = int(os.environ.get("GARBAGE_PAYLOADS", "20000"))  # for each of five
NOW = 1_800_000_000 * 10**9
SLOWEST = 1.0  # seconds of processor for one payload

FLAT: list[Any] = [
    {"o2": 3.1, "on": True, "n": -7, "mode": "auto", "t": "2025-01-01T12:00:00Z"},
    {"o2": 1e308, "n": 2**63 - 1, "x": None, "ä": "ö"}, 85.4, "text", True, [1, 2], {},
]  # fmt: skip
DEEP: list[Any] = [
    {"m": [{"n": "o2", "v": 3.1, "q": "Good"}, {"n": "co", "v": 12, "q": "Bad"}]},
    {"m": [{"n": f"x{i}", "v": i, "q": "Good"} for i in range(20)]},
    {"m": {"a": {"n": "o2", "v": "on", "q": True}}, "deep": [[[[1]]]]},
]  # fmt: skip
TEXTS = [b"85.4", b" -3 ", b"1e3", b"true", b"on", b"3,1", b"0x10", "läuft".encode(), b"1_000"]
WORDS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"NaN", b"1e999", b"-", b"\\u12", b"\0",
         b"\xff", b"9" * 40, b"e", b".", b'"o2":', b'"v":']  # fmt: skip
SPICE = [*WORDS, *(bytes([i]) for i in range(256))]


def spoiled(chance: random.Random, payload: bytes) -> bytes:
    """Changed, cut, doubled, or nothing but noise."""
    data = bytearray(payload)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = chance.choice(SPICE)
            case 1:
                data[at:at] = chance.choice(SPICE)
            case 2:
                del data[at : at + chance.randrange(1, 9)]
            case 3:
                data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randrange(40)]
            case 4:
                del data[at:]
            case _:
                data = bytearray(chance.randbytes(chance.randrange(60)))
    return bytes(data)


def garbage(originals: list[bytes]) -> Iterator[tuple[int, bytes]]:
    for seed in range(MANY):
        chance = random.Random(seed)
        yield seed, spoiled(chance, chance.choice(originals))


def good(decoder: Reads, topic: str, payload: bytes) -> list[Sample]:
    """What is believed of a payload; all that is said must be sayable."""
    start = time.thread_time()
    samples, trouble = decoder.samples(topic, payload, retained=False, received=NOW)
    assert time.thread_time() - start < SLOWEST
    assert isinstance(trouble, str)
    for sample in samples:
        assert sample.tag
        assert 0 <= sample.time < 1 << 63
        assert (sample.value is None) == is_bad(sample.quality)
        assert not isinstance(sample.value, float) or math.isfinite(sample.value)
    return [sample for sample in samples if sample.value is not None]


def in_json(payload: bytes) -> Any:
    """As Python reads it; strict where Python is not."""

    def refuse(word: str) -> Any:
        raise ValueError(word)

    return json.loads(payload.decode(), parse_constant=refuse)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def test_json_that_is_garbage_gives_no_wrong_value() -> None:
    decoder = MQTTInput.parse(
        {"source": "mqtt", "topics": ["+"], "tag": "{key}", "time_key": "t"}
    ).decoder()
    alone = MQTTInput.parse({"source": "mqtt", "topics": ["+"]}).decoder()
    believed = 0
    for seed, payload in garbage([json.dumps(one).encode() for one in FLAT]):
        for sample in good(decoder, "a", payload):
            named = [v for k, v in in_json(payload).items() if readable(k).strip(".") == sample.tag]
            nameless = in_json(payload).get("") if sample.tag == "a" else None
            assert any(same(v, sample.value) for v in [*named, nameless]), (seed, payload)
            believed += 1
        for sample in good(alone, "a", payload):
            content = in_json(payload)
            told = content.values() if isinstance(content, dict) else [content]
            assert any(same(value, sample.value) for value in told), (seed, payload)
    assert believed > MANY / 100, "too little of it was readable to show anything"


def test_json_path_that_is_garbage_gives_no_wrong_value() -> None:
    decoder = MQTTInput.parse(
        {
            "source": "mqtt", "topics": ["+"], "format": "json_path", "items": "$.m[*]",
            "key_path": "$.n", "values": {"{key}": "$.v"}, "quality_path": "$.q",
        }
    ).decoder()  # fmt: skip
    believed = 0
    for seed, payload in garbage([json.dumps(one).encode() for one in DEEP]):
        for sample in good(decoder, "a", payload):
            items = jsonpath.findall("$.m[*]", in_json(payload))
            true = [i["v"] for i in items if isinstance(i, dict) and str(i.get("n")) == sample.tag]
            assert any(same(value, sample.value) for value in true), (seed, payload)
            believed += 1
    assert believed > MANY / 100, "too little of it was readable to show anything"


def test_text_that_is_garbage_gives_no_wrong_value() -> None:
    decoder = MQTTInput.parse({"source": "mqtt", "topics": ["+"], "format": "raw"}).decoder()
    kinds = set()
    for seed, payload in garbage(TEXTS):
        for sample in good(decoder, "a", payload):
            text = payload.decode()
            kinds.add(type(sample.value))
            if isinstance(sample.value, bool):
                assert text.strip().lower() == str(sample.value).lower(), (seed, payload)
            elif isinstance(sample.value, int | float):
                assert sample.value == float(text), (seed, payload)
                assert "_" not in text
            else:
                assert sample.value == text, (seed, payload)
    assert kinds == {bool, int, float, str}


# ---- Sparkplug B --------------------------------------------------------------------------------

VALUES: list[tuple[DataType, Any]] = [
    (DataType.INT8, -3), (DataType.INT16, -300), (DataType.INT32, -70_000),
    (DataType.INT64, -(2**40)), (DataType.UINT8, 200), (DataType.UINT16, 60_000),
    (DataType.UINT32, 2**31), (DataType.UINT64, 2**40), (DataType.FLOAT, 0.5),
    (DataType.DOUBLE, 3.1), (DataType.BOOLEAN, True), (DataType.STRING, "on"),
]  # fmt: skip
METRICS = [
    Metric(name=f"m{i}", alias=i, value=value, datatype=datatype, time=NOW)
    for i, (datatype, value) in enumerate(VALUES)
]

TRUE = [value for _, value in VALUES]
NAMES = {str(metric.alias): metric.name for metric in METRICS}


def births_and_data() -> list[bytes]:
    quality = {"Quality": Property(192, DataType.INT32)}
    born = [Metric(name=m.name, alias=m.alias, value=m.value, datatype=m.datatype, time=NOW,
                   properties=quality) for m in METRICS]  # fmt: skip
    told = [Metric(alias=m.alias, value=m.value, datatype=m.datatype, time=NOW) for m in METRICS]
    return [
        encode(Payload(metrics=born, time=NOW, seq=0)),
        encode(Payload(metrics=told, time=NOW, seq=1)),
        *(encode(Payload(metrics=[one], time=NOW, seq=1)) for one in told),
    ]


def close(told: Any, value: Any) -> bool:
    """Numbers of 64 bits are text in Tahu's JSON."""
    if isinstance(value, bool) or isinstance(told, bool):
        return told is value
    if isinstance(value, int | float) and isinstance(told, str):
        return str(value) == told
    return bool(told == value)


def _name(metric: dict[str, Any]) -> str:
    return str(metric.get("name") or NAMES.get(str(metric.get("alias"))))


@pytest.mark.parametrize("kind", ["NBIRTH", "NDATA"])
def test_sparkplug_that_is_garbage_gives_no_wrong_value(kind: str) -> None:
    originals = births_and_data()
    birth, believed = originals[0], 0
    with Tahu() as tahu:
        for seed, payload in garbage(originals):
            host = SparkplugDecoder(filters=(EVERYTHING,))
            if kind == "NDATA":
                host.samples("spBv1.0/g/NBIRTH/n", birth, retained=False, received=NOW)
            found = good(host, f"spBv1.0/g/{kind}/n", payload)
            believed += len(found)
            try:
                metrics = tahu.decode(payload)["metrics"] if found else []
            except ValueError:  # it reads a number of several bytes for a truth as of one
                assert all(s.value in TRUE for s in found), (seed, payload, found)
                continue
            for sample in found:
                said = [m for m in metrics if f"n.{_name(m)}".replace("/", ".") == sample.tag]
                # It reads no value whose type is left out, as the specification wants it in data.
                told = [m.get("value") if m.get("type") else sample.value for m in said]
                assert any(close(value, sample.value) for value in told), (seed, payload, told)
    assert believed > MANY / 100, "too little of it was readable to show anything"
