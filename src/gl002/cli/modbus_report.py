"""What `gl002 modbus` prints: tables for people, JSON for scripts, YAML for the configuration."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from gl002.cli.output import as_json, say, shown, table
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.survey import Stretch, Unit
from gl002.wire.modbus_address import Place
from gl002.wire.modbus_guess import Field, Guess

_SURE, _LIKELY = 10.0, 4.0  # bits of margin
_BIT_TABLES = {"coil", "discrete"}


class Diagnosis(NamedTuple):
    """A stretch of registers and what was found in it."""

    stretch: Stretch
    guess: Guess


# ---- scan -----------------------------------------------------------------------------------


def scanned(found: Sequence[tuple[Unit, list[Stretch]]], *, json: bool) -> None:
    """Units and their registers."""
    if json:
        for unit, stretches in found:
            as_json({"unit": unit.number, "said": unit.said, "stretches": [
                {"table": s.first.table, "first": s.first.address, "last": s.last.address,
                 "reference": s.first.reference, "values": s.values}
                for s in stretches
            ]})  # fmt: skip
        return
    rows: list[Sequence[Any]] = []
    for unit, stretches in found:
        if not stretches:
            rows.append((str(unit.number), "", "", "", 0, unit.said))
        rows += [
            (
                str(unit.number), s.first.table, f"{s.first.address} to {s.last.address}",
                f"{s.first.reference} to {s.last.reference}", len(s.values),
                f"{sum(1 for value in s.values if value)} not 0",
            )
            for s in stretches
        ]  # fmt: skip
    table(("unit", "table", "addresses", "references", "count", "note"), rows)
    say(f"{len(found)} units answer")


# ---- read -----------------------------------------------------------------------------------


def registers(found: Sequence[Stretch], *, json: bool) -> None:
    """Each register in the ways an engineer looks at it."""
    rows = [row for stretch in found for row in _looked_at(stretch)]
    if json:
        for row in rows:
            as_json(row)
        return
    if not rows:
        return
    columns = [column for column in rows[0] if column != "bits"]  # too wide for a screen
    table(columns, [[str(row[column]) for column in columns] for row in rows])


def _looked_at(stretch: Stretch) -> Iterator[dict[str, Any]]:
    for i, word in enumerate(stretch.values):
        place = Place(stretch.first.table, stretch.first.address + i)
        row: dict[str, Any] = {"address": place.address, "number": place.reference}
        if place.table in _BIT_TABLES:
            yield {**row, "value": bool(word)}
            continue
        raw = word.to_bytes(2, "big")
        row |= {
            "hex": f"{word:04x}", "uint16": word, "int16": struct.unpack(">h", raw)[0],
            "bits": f"{word:016b}", "text": "".join(chr(c) if 32 <= c < 127 else "." for c in raw),  # noqa: PLR2004 (printable)
        }  # fmt: skip
        following = stretch.values[i + 1 : i + 2]
        pair = struct.pack(">2H", word, *following) if following else b""
        swapped = pair[2:] + pair[:2]
        row["float32 ABCD"] = f"{struct.unpack('>f', pair)[0]:.6g}" if pair else ""
        row["float32 CDAB"] = f"{struct.unpack('>f', swapped)[0]:.6g}" if pair else ""
        yield row


# ---- doctor ---------------------------------------------------------------------------------


def diagnosed(diagnoses: Sequence[Diagnosis], *, json: bool) -> None:
    """What was found, with its evidence."""
    rows = [(d, f, _place(d, f)) for d in diagnoses for f in d.guess.fields]
    if json:
        for diagnosis, found, place in rows:
            as_json({
                "unit": diagnosis.stretch.unit, "table": place.table, "address": place.address,
                "reference": place.reference, "format": found.form.data_type,
                "byte_order": found.form.byte_order, "length": found.form.length,
                "scale": found.form.scale, "offset": found.form.offset,
                "values": found.values, "confidence": _confidence(found),
                "margin_bits": round(found.margin, 1), "evidence": found.evidence,
                "shift": found.shift,
            })  # fmt: skip
        return
    table(
        ("number", "format", "order", "scale", "value", "how sure", "evidence"),
        [
            (
                place.reference, _format(found), _order(found), _scale(found),
                shown(found.values[-1]), _confidence(found), found.evidence,
            )
            for _, found, place in rows
            if not _is_nothing(found)
        ],
    )  # fmt: skip
    for diagnosis in diagnoses:
        _say_order(diagnosis)
    _say_shift([found for _, found, _ in rows])
    zeros = sum(1 for _, found, _ in rows if _is_nothing(found))
    if zeros:
        say(f"{zeros} registers were always 0: nothing can be told about them")
    if not any(found.agrees for _, found, _ in rows):
        say("scale and offset leave no trace: give a value from the display, --seen 40003=125.4")


def as_yaml(diagnoses: Sequence[Diagnosis], device: DeviceSettings) -> None:
    """The device's block for the configuration; names are to be chosen by a person."""
    found = [
        (_place(d, f), f) for d in diagnoses for f in d.guess.fields if not _is_nothing(f)
    ]  # fmt: skip
    entries = [
        {
            "name": f"r{place.reference}",
            "address": place.reference,
            "format": field.form.data_type,
            **({"byte_order": field.form.byte_order} if field.form.registers > 1 else {}),
            **({"length": field.form.length} if field.form.length else {}),
            **({"scale": field.form.scale} if field.form.scale != 1 else {}),
            **({"offset": field.form.offset} if field.form.offset else {}),
            "description": f"{_confidence(field)}: {field.evidence}",
        }
        for place, field in found
    ]
    block = {"slave_id": device.slave_id, "name": device.label, "registers": entries}
    print(yaml.safe_dump([block], sort_keys=False, width=200, allow_unicode=True), end="")


def _place(diagnosis: Diagnosis, found: Field) -> Place:
    first = diagnosis.stretch.first
    return Place(first.table, first.address + found.start)


def _format(found: Field) -> str:
    form = found.form
    return f"string, {form.length}" if form.length else form.data_type


def _order(found: Field) -> str:
    swapped = found.form.byte_order in {"BADC", "DCBA"}
    return found.form.byte_order if found.form.registers > 1 or swapped else ""


def _scale(found: Field) -> str:
    offset = f" {found.form.offset:+g}" if found.form.offset else ""
    return f"{found.form.scale:g}{offset}" if found.agrees else "?"


def _confidence(found: Field) -> str:
    if found.margin >= _SURE:
        return "sure"
    return "likely" if found.margin >= _LIKELY else "open"


def _is_nothing(found: Field) -> bool:
    return not any(found.values)


def _say_order(diagnosis: Diagnosis) -> None:
    fields = [f for f in diagnosis.guess.fields if not _is_nothing(f)]
    longer = sum(1 for f in fields if f.form.registers > 1 and f.form.data_type != "string")
    if diagnosis.guess.margin < _LIKELY or not longer:
        return
    first, last = diagnosis.stretch.first.reference, diagnosis.stretch.last.reference
    say(
        f"{first} to {last}: byte order {diagnosis.guess.order}, by {longer} values, "
        f"{diagnosis.guess.margin:.0f} bits ahead of the next"
    )


def _say_shift(found: Sequence[Field]) -> None:
    for shift in {f.shift for f in found if f.shift}:
        say(
            f"what you saw was found {abs(shift)} register {'after' if shift > 0 else 'before'} "
            "where you named it: does the maker's list count from "
            f"{'1' if shift < 0 else '0'}? (address_base)"
        )


def say_missed(diagnoses: Sequence[Diagnosis], seen: Mapping[Place, float]) -> None:
    """What a person saw and no type, scale and offset explain."""
    explained = {
        Place(place.table, place.address - field.shift)
        for diagnosis in diagnoses
        for field in diagnosis.guess.fields
        if field.agrees
        for place in (_place(diagnosis, field),)
    }
    for place, value in seen.items():
        if place not in explained:
            say(f"{value:g} at {place}: nothing there or beside it agrees with that")
