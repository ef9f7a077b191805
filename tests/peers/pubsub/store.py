"""Topics, subscriptions and their messages, in a file that outlives the process.

Source: Pub/Sub documentation, 'Subscription properties', 'Order messages', REST reference v1.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/(?!goog)[A-Za-z][\w.~+%-]{2,254}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS subscription (
    name TEXT PRIMARY KEY, topic TEXT, deadline INTEGER, ordered INTEGER);
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, data BLOB, attributes TEXT, key TEXT,
    time REAL);
CREATE TABLE IF NOT EXISTS pending (
    subscription TEXT, message INTEGER, key TEXT, until REAL DEFAULT 0, tries INTEGER DEFAULT 0,
    PRIMARY KEY (subscription, message));
"""


class Refused(Exception):
    """A request that Pub/Sub refuses: status, code and words of Google's errors."""

    def __init__(self, code: int, status: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.status, self.message, self.reason = code, status, message, reason


def invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


class Store:
    """Everything there is."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def rows(self, query: str, *values: Any) -> list[Any]:
        return self._db.execute(query, values).fetchall()

    # ---- topics and subscriptions -----------------------------------------------------------

    def create_topic(self, name: str) -> dict[str, Any]:
        _check(name)
        if self.rows("SELECT 1 FROM topic WHERE name = ?", name):
            raise Refused(409, "ALREADY_EXISTS", f"Resource already exists (resource={name}).")
        self._db.execute("INSERT INTO topic VALUES (?)", (name,))
        return {"name": name}

    def topic(self, name: str) -> dict[str, Any]:
        _check(name)
        if not self.rows("SELECT 1 FROM topic WHERE name = ?", name):
            raise Refused(404, "NOT_FOUND", f"Resource not found (resource={name}).")
        return {"name": name}

    def create_subscription(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        _check(name)
        self.topic(str(body.get("topic", "")))
        if self.rows("SELECT 1 FROM subscription WHERE name = ?", name):
            raise Refused(409, "ALREADY_EXISTS", f"Resource already exists (resource={name}).")
        deadline = int(body.get("ackDeadlineSeconds") or 10)
        if not 10 <= deadline <= 600:
            raise invalid("Invalid ack deadline given")
        ordered = bool(body.get("enableMessageOrdering"))
        self._db.execute(
            "INSERT INTO subscription VALUES (?, ?, ?, ?)", (name, body["topic"], deadline, ordered)
        )
        return self.subscription(name)

    def subscription(self, name: str) -> dict[str, Any]:
        _check(name)
        found = self.rows("SELECT topic, deadline, ordered FROM subscription WHERE name = ?", name)
        if not found:
            raise Refused(404, "NOT_FOUND", f"Resource not found (resource={name}).")
        topic, deadline, ordered = found[0]
        return {
            "name": name, "topic": topic, "pushConfig": {}, "ackDeadlineSeconds": deadline,
            "messageRetentionDuration": "604800s",
            **({"enableMessageOrdering": True} if ordered else {}),
        }  # fmt: skip

    # ---- messages ---------------------------------------------------------------------------

    def publish(self, topic: str, messages: list[dict[str, Any]]) -> list[str]:
        self.topic(topic)
        rows = [_row(message) for message in messages]
        if not rows:
            raise invalid("The publish request has no messages.")
        if len(rows) > 1000:
            raise invalid("The number of messages in the request exceeds 1000.")
        if len({key for _, _, key in rows}) > 1:
            raise invalid("In a single publish request, all messages must have the same key.")
        subscribers = self.rows("SELECT name FROM subscription WHERE topic = ?", topic)
        ids = []
        self._db.execute("BEGIN")
        for data, attributes, key in rows:
            cursor = self._db.execute(
                "INSERT INTO message (topic, data, attributes, key, time) VALUES (?, ?, ?, ?, ?)",
                (topic, data, json.dumps(attributes), key, time.time()),
            )
            ids.append(str(cursor.lastrowid))
            self._db.executemany(
                "INSERT INTO pending (subscription, message, key) VALUES (?, ?, ?)",
                [(name, cursor.lastrowid, key) for (name,) in subscribers],
            )
        self._db.execute("COMMIT")
        return ids

    def pull(self, name: str, most: int) -> list[dict[str, Any]]:
        """What is not with somebody; of an ordered key nothing while an older one is."""
        here, now = self.subscription(name), time.time()
        waiting = self.rows(
            "SELECT message, key, until, tries FROM pending WHERE subscription = ? "
            "ORDER BY message", name,
        )  # fmt: skip
        taken, blocked = [], set()
        for message, key, until, tries in waiting:
            ordered = bool(key) and here.get("enableMessageOrdering", False)
            if until > now or (ordered and key in blocked):
                blocked |= {key} if ordered else set()
                continue
            taken.append(self._delivered(name, message, now + here["ackDeadlineSeconds"], tries))
            if len(taken) >= most:
                break
        return taken

    def _delivered(self, name: str, message: int, until: float, tries: int) -> dict[str, Any]:
        self._db.execute(
            "UPDATE pending SET until = ?, tries = tries + 1 WHERE subscription = ? "
            "AND message = ?", (until, name, message),
        )  # fmt: skip
        ((data, attributes, key, moment),) = self.rows(
            "SELECT data, attributes, key, time FROM message WHERE id = ?", message
        )
        content = {
            "messageId": str(message),
            "publishTime": datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z"),
        }
        if data:
            content["data"] = base64.b64encode(data).decode()
        if attributes != "{}":
            content["attributes"] = json.loads(attributes)
        if key:
            content["orderingKey"] = key
        return {"ackId": f"{name}:{message}:{tries + 1}", "message": content}

    def acknowledge(self, name: str, ack_ids: list[str]) -> None:
        self.subscription(name)
        if not ack_ids:
            raise invalid("No ack ids specified.")
        for ack_id in ack_ids:  # one that is none, or too old, is left alone
            message = ack_id.split(":")[-2] if ack_id.count(":") >= 2 else ""
            self._db.execute(
                "DELETE FROM pending WHERE subscription = ? AND message = ?", (name, message)
            )

    def postpone(self, name: str, ack_ids: list[str], seconds: int) -> None:
        self.subscription(name)
        if not ack_ids:
            raise invalid("No ack ids specified.")
        if not 0 <= seconds <= 600:
            raise invalid("Invalid ack deadline given")
        for ack_id in ack_ids:
            message = ack_id.split(":")[-2] if ack_id.count(":") >= 2 else ""
            self._db.execute(
                "UPDATE pending SET until = ? WHERE subscription = ? AND message = ?",
                (time.time() + seconds, name, message),
            )


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid resource name given (name={name}).")


def _row(message: dict[str, Any]) -> tuple[bytes, dict[str, str], str]:
    """Checked as 'Quotas and limits' says."""
    unknown = message.keys() - {"data", "attributes", "orderingKey", "messageId", "publishTime"}
    if unknown:
        raise invalid(f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
    try:
        data = base64.b64decode(message.get("data", ""), validate=True)
    except ValueError:
        raise invalid("Invalid value (TYPE_BYTES): Base64 decoding failed") from None
    attributes, key = message.get("attributes") or {}, message.get("orderingKey", "")
    if not data and not attributes:
        raise invalid("One or more messages in the publish request is empty.")
    if len(data) > 10_000_000:
        raise invalid("The value for message data is too large.")
    if len(attributes) > 100:
        raise invalid("The message has more than 100 attributes.")
    for name, value in attributes.items():
        if not isinstance(value, str) or not 0 < len(name.encode()) <= 256:
            raise invalid("Invalid attribute.")
        if len(value.encode()) > 1024 or name.startswith("goog"):
            raise invalid("Invalid attribute.")
    if len(key.encode()) > 1024:
        raise invalid("The ordering key is longer than 1024 bytes.")
    return data, attributes, key
