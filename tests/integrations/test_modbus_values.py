"""Values of Modbus: types, orders, bits, masks, maps; there and back, against libmodbus."""

from __future__ import annotations

import struct

import pytest

from gl002.errors import ConfigError, DataError, RequestTimeout
from gl002.security.audit import read
from integrations.modbus_site import UNKNOWN, context, device, make, peer, server
from peers.libmodbus import Asked

fixtures = server, peer, context, make


VALUES = [
    ("int16", -12), ("uint16", 65535), ("int32", -70000), ("uint32", 4_000_000_000),
    ("int64", -(2**62)), ("uint64", 2**63 + 1), ("float16", 1.5), ("float32", 485.25),
    ("float64", 1e100), ("bcd16", 1234), ("bcd32", 87654321), ("bool", True),
]  # fmt: skip


@pytest.mark.parametrize("byte_order", ["ABCD", "CDAB", "BADC", "DCBA"])
async def test_every_type_in_every_order_goes_to_the_device_and_back(peer, make, byte_order):
    connector = make()
    for i, (data_type, value) in enumerate(VALUES):
        address = 10 * i
        await connector.write_registers(address, [value, value], data_type, byte_order=byte_order)
        seen = await connector.read_holding_registers(address, 2, data_type, byte_order=byte_order)
        assert seen == [value, value], data_type
    words = peer.get(1, "holding", 10 * 7, 2)
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    packed = struct.pack(">f", 485.25)
    assert raw == bytes(packed["ABCD".index(letter)] for letter in byte_order)


async def test_text_is_read_with_its_length_in_registers(peer, make):
    peer.set_bytes(1, "input", 50, b"BOILER-1\0\0BOILER-2\0\0")
    seen = await make().read_input_registers(50, 2, "string", length=5)
    assert seen == ["BOILER-1", "BOILER-2"]


async def test_count_counts_values_and_many_take_several_requests(peer, make):
    floats = [float(i) for i in range(200)]
    peer.set_bytes(1, "holding", 100, struct.pack(">200f", *floats))
    assert await make().read_holding_registers(100, 200, "float32") == floats
    lengths = [request.count for request in peer.asked()]
    assert lengths == [124, 124, 124, 28], "no value is torn by the end of a request"


async def test_bits_are_read_and_switched(peer, make):
    connector = make()
    pattern = [i % 3 == 0 for i in range(2500)]
    await connector.write_coils(0, pattern[:1968])
    await connector.write_coils(1968, pattern[1968:])
    await connector.write_coil(1, True)
    pattern[1] = True
    assert await connector.read_coils(0, 2500) == pattern
    peer.set(1, "discrete", 9, 1)
    assert await connector.read_discrete_inputs("10009", 3) == [False, True, False]
    assert peer.get(1, "coil", 0, 4) == [1, 1, 0, 1]


async def test_both_notations_reach_the_same_register(peer, make):
    peer.set(1, "holding", 7, 77)
    peer.set(1, "holding", 8, 88)
    connector = make()
    assert await connector.read_holding_registers(7) == [77]
    assert await connector.read_holding_registers(40008) == [77]
    assert await connector.read_holding_registers(400008) == [77]
    assert await make(address_base=1).read_holding_registers(8) == [77]
    assert await make(address_base=0).read_holding_registers(8) == [88]
    with pytest.raises(ConfigError, match="address_base"):
        await connector.read_input_registers(40008)


async def test_a_bit_field_is_changed_without_touching_its_neighbours(peer, make):
    peer.set(1, "holding", 5, 0b1010_0000_0000_0101)
    fields = [
        {"name": "mode", "address": 5, "bit": 4, "bits": 3},
        {"name": "run", "address": 5, "bit": 0},
    ]
    connector = make(name="b", registers=fields)
    assert [s.value for s in await connector.read(["b.mode", "b.run"])] == [0, True]
    await connector.write("b.mode", 5)
    await connector.write("b.run", False)
    assert peer.get(1, "holding", 5) == [0b1010_0000_0101_0100]
    assert [request.function for request in peer.asked()][-2:] == [22, 22]


async def test_a_bit_field_of_a_longer_number_is_changed_in_the_one_register_it_lies_in(peer, make):
    field = {"name": "mode", "address": 5, "format": "uint32", "byte_order": "CDAB", "bit": 20}
    connector = make(name="b", registers=[{**field, "bits": 3}, {**field, "name": "x", "bit": 30}])
    peer.set(1, "holding", 5, 0x0678, 0x1204)
    await connector.write("b.mode", 5)
    assert peer.get(1, "holding", 5, 2) == [0x0678, 0x1254]
    assert [s.value for s in await connector.read(["b.mode"])] == [5]
    across = make(name="b", registers=[{**field, "bit": 14, "bits": 4}])
    with pytest.raises(DataError, match="across two registers"):
        await across.write("b.mode", 3)


async def test_a_mask_changes_some_bits_and_leaves_the_others(peer, make, context):
    peer.set(1, "holding", 5, 0xA005)
    connector = make()
    await connector.mask_write_register(40006, 0xFF0F, 0x0050)
    assert peer.get(1, "holding", 5) == [0xA055]
    with pytest.raises(DataError, match="16 bits"):
        await connector.mask_write_register(5, 0x10000, 0)
    await connector.close()
    context.audit.close()
    (entry,) = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert entry["after"] == "and ff0f or 0050"


async def test_one_request_writes_and_then_reads(peer, make, context):
    peer.set_bytes(1, "holding", 100, struct.pack(">2f", 1.5, -2.5))
    connector = make()
    seen = await connector.read_write_registers(40101, 2, 200, [7.25, 8.0, 9.0], "float32")
    assert seen == [1.5, -2.5]
    assert await connector.read_holding_registers(200, 3, "float32") == [7.25, 8.0, 9.0]
    swapped = await connector.read_write_registers(
        300, 1, 300, [-70000], "int32", byte_order="CDAB"
    )
    assert swapped == [-70000], "the device writes first"
    assert [request.function for request in peer.asked()] == [23, 3, 23]
    for wrong in (
        (100, 0, 200, [1]),
        (100, 1, 200, []),
        (100, 1, 200, [0] * 122),
        (0, 126, 0, [1]),
    ):
        with pytest.raises(DataError):
            await connector.read_write_registers(*wrong)
    await connector.close()
    context.audit.close()
    entries = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert [e["after"] for e in entries] == [[7.25, 8.0, 9.0], [-70000]]


async def test_text_of_several_registers_is_written_in_one_request(peer, make):
    connector = make()
    await connector.write_register(50, "BOILER-1", "string", length=5)
    assert await connector.read_holding_registers(50, 1, "string", length=5) == ["BOILER-1"]
    assert peer.get(1, "holding", 54) == [0]


async def test_a_name_may_be_short_or_long_or_a_bare_number(peer, make):
    peer.set(1, "holding", 3, 33)
    peer.set(2, "holding", 3, 66)
    one, two = device(1, 3, name="a"), device(2, 3, name="b")
    two["registers"].append({"name": "only", "address": 3})
    connector = make(devices=[one, two])
    asked = ["a.r3", "b.only", "only", "b.40004", "r3", "40004", "nonsense"]
    samples = await connector.read(asked)
    assert [s.tag for s in samples] == asked
    assert [s.value for s in samples] == [33, 66, 66, 66, None, None, None]
    assert [s.quality for s in samples[-3:]] == [UNKNOWN] * 3, "ambiguous, ambiguous, unknown"


async def test_a_map_is_read_with_one_request_and_a_refused_register_is_none(peer, make):
    peer.set(1, "holding", 100, 1, 2, 3)
    connector = make()
    register_map = {name: {"address": 100 + i} for i, name in enumerate("abc")}
    assert await connector.read_mapped_values(register_map) == {"a": 1, "b": 2, "c": 3}
    assert peer.asked() == [Asked(1, 3, 100, 3)]
    register_map["gone"] = {"address": 40101, "type": "input", "format": "float32"}
    with pytest.raises(ConfigError, match="address_base"):
        await connector.read_mapped_values(register_map)
    register_map["gone"] = {"address": 6000, "type": "float32"}
    assert (await connector.read_mapped_values(register_map))["gone"] is None
    with pytest.raises(ConfigError, match="unknown key 'adress'"):
        await connector.read_mapped_values({"a": {"adress": 1}})
    peer.tell("silent", 1)
    connector.set_timeout(100)
    with pytest.raises(RequestTimeout):
        await connector.read_mapped_values({"a": {"address": 100}})
