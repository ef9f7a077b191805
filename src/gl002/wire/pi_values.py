"""Values of PI Web API: numbers, texts, digital states, and the flags that are their quality.

| PI says | quality here |
|---|---|
| Good | Good |
| Good, Substituted | GoodEdited (OPC 10000-11): a person or a later write has changed it |
| Questionable | Uncertain |
| a state of the SYSTEM set | bad; which one: `SYSTEM_STATES` |
| not Good, or an error in its place | bad |

Source: PI Web API Reference, "Value Types" and "Error Handling"; AF SDK Reference,
AFSystemStateCode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, is_bad, is_good
from gl002.wire.pi_time import mended, raw, to_text

GOOD_EDITED = 0x00DC_0000
"""OPC 10000-11, 6.3.2: "GoodEdited"."""

SYSTEM_STATES: Mapping[int, tuple[str, int]] = {
    215: ("Equip Fail", Quality.BAD_DEVICE_FAILURE),
    233: ("DCS failed", Quality.BAD_DEVICE_FAILURE),
    238: ("Scan Off", Quality.BAD_OUT_OF_SERVICE),
    240: ("Configure", Quality.BAD_CONFIGURATION_ERROR),
    246: ("I/O Timeout", Quality.BAD_NO_COMMUNICATION),
    248: ("No Data", Quality.BAD_NO_DATA),
    251: ("Under Range", Quality.BAD_OUT_OF_RANGE),
    252: ("Over Range", Quality.BAD_OUT_OF_RANGE),
    253: ("Pt Created", Quality.BAD_WAITING_FOR_INITIAL_DATA),
    254: ("Shutdown", Quality.BAD_NOT_CONNECTED),
    255: ("Bad Input", Quality.BAD),
}
"""Number in the SYSTEM set -> its name and what it means; any other state is Bad."""
_STATE_OF: Mapping[int, int] = {
    Quality.BAD_DEVICE_FAILURE: 215,
    Quality.BAD_OUT_OF_SERVICE: 238,
    Quality.BAD_CONFIGURATION_ERROR: 240,
    Quality.BAD_NO_COMMUNICATION: 246,
    Quality.BAD_TIMEOUT: 246,
    Quality.BAD_NO_DATA: 248,
    Quality.BAD_DATA_LOST: 248,
    Quality.BAD_WAITING_FOR_INITIAL_DATA: 253,
    Quality.BAD_NOT_CONNECTED: 254,
}
_BAD_INPUT = 255
_EXACT = 2**53  # whole numbers up to here are exact in a double
_CODE = 0xFFFF_0000  # without the info bits of a status code


class Reading(NamedTuple):
    """One value as it came.

    Attributes:
        value: None where it is bad.
        quality: OPC UA status code.
        time: nanoseconds UTC, mended; see `pi_time`.
        raw: as the archive has it.
        unit: abbreviation that AF gives it, '' for points.
    """

    value: Value
    quality: int
    time: int
    raw: int
    unit: str = ""

    def sample(self, tag: str) -> Sample:
        """As a sample of a tag."""
        return Sample(tag, self.value, self.time, self.quality)


def reading(item: object) -> Reading:
    """A value of an answer: {'Timestamp': ..., 'Value': ..., 'Good': true, ...}.

    Raises:
        DataError: it has not that form.
    """
    if not isinstance(item, dict) or "Value" not in item:
        raise DataError(f"no value of PI Web API: {str(item)[:200]}")
    moment = raw(item.get("Timestamp"))
    value, quality = _judged(item)
    unit = item.get("UnitsAbbreviation")
    return Reading(value, quality, mended(moment), moment, unit if isinstance(unit, str) else "")


def _judged(item: Mapping[str, Any]) -> tuple[Value, int]:
    value = item["Value"]
    if item.get("Errors"):
        return None, int(Quality.BAD)
    if isinstance(value, dict):
        value, quality = _state(value)
        if is_bad(quality):
            return None, quality
    elif isinstance(value, list):
        return None, int(Quality.BAD_TYPE_MISMATCH)
    if not item.get("Good", True) or value is None:
        return None, int(Quality.BAD)
    if item.get("Questionable"):
        return value, int(Quality.UNCERTAIN)
    return value, GOOD_EDITED if item.get("Substituted") else int(Quality.GOOD)


def _state(value: Mapping[str, Any]) -> tuple[Value, int]:
    """An enumeration value, or an error in place of a value."""
    name, number = value.get("Name"), value.get("Value")
    if not isinstance(name, str):
        return None, int(Quality.BAD)
    if value.get("IsSystem"):
        known = SYSTEM_STATES.get(number) if isinstance(number, int) else None
        return None, int(known[1]) if known is not None else int(Quality.BAD)
    return name, int(Quality.GOOD)


def as_item(sample: Sample) -> dict[str, Any]:
    """A sample as an item of an update.

    A bad one becomes a state of the SYSTEM set, which PI has in place of the value; of the kinds
    of doubt only that there is one remains, as Questionable.

    Raises:
        DataError: a whole number that PI cannot hold exactly.
    """
    item: dict[str, Any] = {"Timestamp": to_text(sample.time), "Value": _plain(sample)}
    if not is_good(sample.quality) and not isinstance(item["Value"], dict):
        item["Questionable"] = True
    return item


def _plain(sample: Sample) -> Any:
    value = sample.value
    if is_bad(sample.quality) or value is None:
        quality = sample.quality if is_bad(sample.quality) else Quality.BAD_NO_DATA
        return system_state(_STATE_OF.get(quality & _CODE, _BAD_INPUT))
    if isinstance(value, float) and not math.isfinite(value):
        return system_state(_BAD_INPUT)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and abs(value) > _EXACT:
        raise DataError(f"{value} has more digits than PI keeps")
    return value


def system_state(number: int) -> dict[str, Any]:
    """A state of the SYSTEM set as a value."""
    return {"Name": SYSTEM_STATES[number][0], "Value": number, "IsSystem": True}


def fitting(value: Value, kind: str, what: str) -> Value:
    """A value to write into a point, as its type takes it.

    Args:
        value: what to write.
        kind: type of the point or attribute, 'Float32', 'Int16', 'Digital', 'Double'; '' where
            it is unknown.
        what: names it in messages.

    Raises:
        DataError: the point cannot hold it as it is; PI would round it, or refuse it.
    """
    if kind.startswith(("Float", "Int", "Double", "Single")):
        number = int(value) if isinstance(value, bool) else value
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise DataError(f"{what} is a {kind}: it cannot hold {value!r}")
        if kind.startswith("Int") and number != int(number):
            raise DataError(f"{what} is a {kind}, which has no fractions: it cannot hold {value!r}")
        return int(number) if kind.startswith("Int") else number
    if kind == "Boolean" and isinstance(value, bool):
        return value
    if kind == "String" and not isinstance(value, str):
        raise DataError(f"{what} holds text: it cannot hold {value!r}")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"{what} cannot hold {value!r}")
    return int(value) if isinstance(value, bool) else value
