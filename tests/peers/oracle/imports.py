"""The concurrent program "Install Base - Counter Readings Open Interface".

What it does with a row is what CSI_CTR_INTERFACE_PUB.EXECUTE_OPEN_INTERFACE does: rows of a batch
whose status is R, oldest reading first, become readings one by one and P, or E with a text.
What it checks is a part of what the real one checks; its messages are ours.
"""

from __future__ import annotations

import sqlite3
from typing import Any

_READY, _DONE, _ERROR = "R", "P", "E"
_TRANSACTION_TYPES = {80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 91, 92, 94, 95}


def problem_of_reading(base: sqlite3.Connection, counter: Any, value: Any) -> str | None:
    """Why a counter does not take a reading."""
    row = base.execute(
        "SELECT direction FROM csi_counters_vl WHERE counter_id = ?", (counter,)
    ).fetchone()
    if row is None:
        return f"The counter {counter} is invalid."
    (last,) = base.execute(
        "SELECT MAX(counter_reading) FROM csi_counter_readings WHERE counter_id = ?", (counter,)
    ).fetchone()
    if row[0] == "A" and last is not None and value < last:
        return f"The reading {value} of an ascending counter is below {last}."
    return None


def import_readings(base: sqlite3.Connection, batch: str) -> None:
    """Import what is ready of a batch; the caller commits."""
    base.execute(
        "UPDATE csi_ctr_readings_interface SET counter_id = (SELECT counter_id FROM csi_counters_vl"
        " WHERE name = counter_name) WHERE counter_id IS NULL AND counter_name IS NOT NULL"
    )
    rows = base.execute(
        "SELECT counter_interface_id, counter_id, counter_reading, value_timestamp,"
        " source_transaction_type_id, comments, attribute15, created_by"
        " FROM csi_ctr_readings_interface WHERE batch_name = ? AND process_status = ?"
        " ORDER BY value_timestamp, counter_id", (batch, _READY),
    ).fetchall()  # fmt: skip
    for number, counter, value, time, kind, comments, key, user in rows:
        if kind is None:
            problem: str | None = "The transaction type is missing."
        elif kind not in _TRANSACTION_TYPES:
            problem = f"The transaction type {kind} is invalid."
        elif value is None:
            problem = "The reading is missing."
        else:
            problem = problem_of_reading(base, counter, value)
        made = None
        if problem is None:
            made = base.execute(
                "INSERT INTO csi_counter_readings (counter_id, counter_reading, value_timestamp,"
                " comments, disabled_flag, attribute15, created_by) VALUES (?, ?, ?, ?, 'N', ?, ?)",
                (counter, value, time, comments, key, user),
            ).lastrowid
        base.execute(
            "UPDATE csi_ctr_readings_interface SET process_status = ?, error_text = ?,"
            " counter_value_id = ? WHERE counter_interface_id = ?",
            (_DONE if problem is None else _ERROR, problem, made, number),
        )
