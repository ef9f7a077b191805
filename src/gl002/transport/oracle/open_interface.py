"""Meter readings through Install Base's open interface table, CSI_CTR_READINGS_INTERFACE.

A meter of eAM 12 is a counter of Install Base. Rows of a batch, with status R, are imported by the
concurrent program "Install Base - Counter Readings Open Interface", which makes them P and tells
the reading's id, or E and tells why. Until it runs a reading waits. Sources: Oracle Install Base
User's Guide 12.1 (E13089), "Using the Counter Readings Open Interface" and "The Open Interface
Tables"; columns and statuses as CSI_CTR_INTERFACE_PUB (csipcoib.pls) reads and writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gl002.errors import DataError
from gl002.transport.oracle import statements
from gl002.transport.oracle.database import Call
from gl002.transport.oracle.maintenance import MeterReading
from gl002.transport.oracle.settings import OracleConfig, ReadingsInterface

_DONE, _ERROR = "P", "E"
_TRANSACTION_TYPE = 80  # CSI_TXN_TYPES: a counter reading of an item instance
_SOURCE = "GL-002"


class NewReading(NamedTuple):
    """A reading to hand over: of which counter, what it shows, and when (a DATE there)."""

    counter: int
    meter: str
    value: float
    at: datetime


class OpenInterface:
    """The table, as far as readings of ours are concerned.

    Args:
        config: the column that keeps keys.
        settings: batch and sequence.
    """

    def __init__(self, config: OracleConfig, settings: ReadingsInterface) -> None:
        self._batch = settings.batch
        self._next = statements.next_interface_id(settings.sequence)
        self._hand_over = statements.hand_over_reading(config)
        self._handed_over = statements.handed_over(config)
        self._recorded = statements.readings(config)

    async def ping(self, call: Call) -> str:
        """One round trip, to the table; a phrase about it."""
        await call.query(self._handed_over, {"instance_id": -1, "action_key": "-"})
        return f", readings by batch {self._batch}"

    async def there(self, call: Call, instance: int, key: str) -> Sequence[MeterReading]:
        """The readings of an asset that carry a key: recorded, or waiting to be imported.

        Raises:
            DataError: Oracle has refused one of them; in its words.
        """
        binds = {"instance_id": instance, "action_key": key}
        # The table first: what is imported and purged between the two looks is in the second
        rows = await call.query(self._handed_over, binds)
        recorded = await call.query(self._recorded, binds)
        found = {
            int(counter): _handed_over(number, name, value, status, made)
            for number, name, value, counter, status, _, made in rows
        }
        for number, name, value, counter in recorded:
            found[int(counter)] = MeterReading(id=int(number), meter=name, value=float(value))
        done = {int(row[3]) for row in recorded}
        refused = [row for row in rows if row[4] == _ERROR and int(row[3]) not in done]
        if refused:
            raise _refusal(refused, sum(not reading.waiting for reading in found.values()))
        return sorted(found.values(), key=lambda reading: reading.id)

    async def hand_over(
        self, call: Call, readings: Sequence[NewReading], instance: int, key: str, user: int
    ) -> None:
        """Insert rows for the next import, all or none.

        Raises:
            DataError: a value does not fit its column.
        """
        numbers = [int((await call.query(self._next, {}))[0][0]) for _ in readings]
        async with call.transaction():
            for number, reading in zip(numbers, readings, strict=True):
                await call.change(self._hand_over, self._row(number, reading, instance, key, user))

    def _row(
        self, number: int, reading: NewReading, instance: int, key: str, user: int
    ) -> Mapping[str, Any]:
        return {
            "counter_interface_id": number,
            "batch_name": self._batch,
            "counter_id": reading.counter,
            "value_timestamp": reading.at,
            "counter_reading": reading.value,
            "comments": _SOURCE,
            "source_transaction_type_id": _TRANSACTION_TYPE,
            "source_transaction_id": instance,
            "source_code": _SOURCE,
            "action_key": key,
            "last_updated_by": user,
            "created_by": user,
        }


def _handed_over(number: Any, name: str, value: Any, status: str, made: Any) -> MeterReading:
    """A row as a reading; its id is that of the reading once there is one."""
    is_done = status == _DONE and made is not None
    return MeterReading(
        id=int(made if is_done else number), meter=name, value=float(value), waiting=not is_done
    )


def _refusal(rows: Sequence[tuple[Any, ...]], recorded: int) -> DataError:
    texts = "; ".join(
        f"{row[1]} {float(row[2]):g}: {row[5] or 'without a message'}" for row in rows
    )
    others = f"; {recorded} others are recorded" if recorded else ""
    numbers = ", ".join(str(int(row[0])) for row in rows)
    return DataError(
        f"Oracle refuses it: {texts}{others}",
        hint="in CSI_CTR_READINGS_INTERFACE correct or delete the row with COUNTER_INTERFACE_ID "
        f"{numbers}, then try again",
    )
