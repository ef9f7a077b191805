"""A BACnet device on rusty-bacnet (Rust), steered by the test: one JSON line asks, one answers."""

from __future__ import annotations

import asyncio
import json
import sys

from rusty_bacnet import (
    BACnetServer,
    Bbmd,
    ObjectIdentifier,
    ObjectType,
    PropertyIdentifier,
    PropertyValue,
    Segmentation,
)

TYPES = {
    "analog-input": ObjectType.ANALOG_INPUT, "analog-value": ObjectType.ANALOG_VALUE,
    "analog-output": ObjectType.ANALOG_OUTPUT,
    "binary-input": ObjectType.BINARY_INPUT, "binary-value": ObjectType.BINARY_VALUE,
    "multi-state-input": ObjectType.MULTI_STATE_INPUT,
    "multi-state-value": ObjectType.MULTI_STATE_VALUE,
    "characterstring-value": ObjectType.CHARACTERSTRING_VALUE,
    "integer-value": ObjectType.INTEGER_VALUE,
    "positive-integer-value": ObjectType.POSITIVE_INTEGER_VALUE,
    "large-analog-value": ObjectType.LARGE_ANALOG_VALUE,
    "trend-log": ObjectType.TREND_LOG, "device": ObjectType.DEVICE,
}  # fmt: skip
INPUTS = {"analog-input", "binary-input", "multi-state-input"}
MAKE = {
    "real": PropertyValue.real, "double": PropertyValue.double, "unsigned": PropertyValue.unsigned,
    "signed": PropertyValue.signed, "enumerated": PropertyValue.enumerated,
    "text": PropertyValue.character_string, "boolean": PropertyValue.boolean,
    "null": lambda _: PropertyValue.null(),
}  # fmt: skip


def oid(text):
    kind, instance = text.split(",")
    return ObjectIdentifier(TYPES[kind], int(instance))


def build(options):
    kinds = {"both": Segmentation.BOTH, "none": Segmentation.NONE}
    keywords = {}
    if "bbmd" in options:
        keywords["bbmd"] = Bbmd(accept_foreign_devices=options["bbmd"])
    if "subscriptions" in options:
        keywords["cov_policy"] = {
            "max_subscriptions_global": options["subscriptions"],
            "reserved_capacity": 0,
        }
    server = BACnetServer(
        device_instance=options.get("instance", 1001),
        device_name=options.get("name", "Boiler 1"),
        interface=options.get("interface", "127.0.0.1"),
        port=options["port"],
        broadcast_address=options.get("broadcast", "127.255.255.255"),
        share_port_by_address=options.get("share", False),
        segmentation_supported=kinds[options.get("segmentation", "both")],
        **keywords,
    )
    server.add_analog_input(1, "steam flow", 46, 50000.0)  # lb/hr
    server.add_analog_input(2, "stack temperature", 64, 350.5)  # degF
    server.add_binary_input(1, "flame")
    server.add_multistate_input(1, "mode", 20)
    server.add_character_string_value(1, "grade")
    server.add_analog_value(1, "setpoint", 56)  # psi
    server.add_binary_value(1, "enable")
    server.add_multistate_value(1, "program", 5)
    server.add_integer_value(1, "trim")
    server.add_positive_integer_value(1, "starts")
    server.add_large_analog_value(1, "energy")
    server.add_trend_log(
        1, "steam flow log", 1000,
        reference=(oid("analog-input,1"), PropertyIdentifier.PRESENT_VALUE), logging_type="cov",
    )  # fmt: skip
    for i in range(options.get("more", 0)):
        server.add_analog_input(100 + i, f"point {i}", 62, float(i))
    return server


async def fill(server):
    await put(server, "binary-input,1", "enumerated", 1)
    await put(server, "multi-state-input,1", "unsigned", 12)
    await put(server, "characterstring-value,1", "text", "Kessel 1")
    await put(server, "trend-log,1", "boolean", True, "LOG_ENABLE")


async def put(server, target, kind, value, name="PRESENT_VALUE"):
    made = MAKE[kind](value)
    if name == "PRESENT_VALUE" and target.split(",")[0] in INPUTS:
        await server.set_present_value_local(oid(target), made)
    else:
        number = getattr(PropertyIdentifier, name)
        await server.write_property_local(oid(target), number, made, source_object=None)


def shown(value):
    return value if isinstance(value, bool | int | float | str | None) else repr(value)


async def answer(server, words):
    match words:
        case ["put", target, kind, value]:
            await put(server, target, kind, value)
        case ["put", target, kind, value, name]:
            await put(server, target, kind, value, name)
        case ["get", target, *rest]:
            number = getattr(PropertyIdentifier, rest[0] if rest else "PRESENT_VALUE")
            index = rest[1] if len(rest) > 1 else None
            found = await server.read_property(oid(target), number, index)
            return shown(found.value)
    return None


async def main():
    options = json.loads(sys.argv[1])
    server = build(options)
    await server.start()
    await fill(server)

    async def serve(reader, writer):
        while line := await reader.readline():
            try:
                said = {"ok": await answer(server, json.loads(line))}
            except Exception as error:  # noqa: BLE001 (whatever it is, the test is told)
                said = {"error": repr(error)}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        writer.close()

    control = await asyncio.start_server(serve, "127.0.0.1", options["control"])
    async with control:
        await control.serve_forever()


asyncio.run(main())
