"""A stand-in for SAP's library, with the documented interface of the package pyrfc.

    Connection(config=..., ashost=..., sysnr=..., client=..., user=..., passwd=..., lang=...)

Neither SAP's library nor a system that speaks its protocol can be had here. This one talks to the
functions of our SAP system (`peers/sap/functions.py`) in the same process: one session, kept over
calls, as over RFC. It takes and gives what pyrfc's documentation says: bool is no value, text only
for CHAR, dates with `dtime`, CHAR with its blanks unless `rstrip`.
"""

from __future__ import annotations

import os
import threading
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from peers.sap.dictionary import BUILT_IN, Unfit, check, initial, split
from peers.sap.functions import FUNCTIONS
from peers.sap.system import Refused, System, Unit


class RFCError(Exception):
    """Base, as in pyrfc."""


class RFCLibError(RFCError):
    def __init__(self, message: str = "", code: int = 0, key: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.key = message, code, key


class ABAPApplicationError(RFCLibError):
    pass


class LogonError(RFCLibError):
    pass


class CommunicationError(RFCLibError):
    pass


opened: list[Connection] = []
"""Every connection, for tests to look at."""


class Connection:
    def __init__(self, config: dict[str, bool] | None = None, **parameters: str) -> None:
        assert set(parameters) <= {"ashost", "sysnr", "client", "user", "passwd", "lang"}
        self._config = config or {}
        self._thread = threading.get_ident()
        if parameters.get("passwd") != "password":
            raise LogonError("Name or password is incorrect", 2, "RFC_LOGON_FAILURE")
        self.parameters = parameters
        self.alive = True
        self.cancelled = threading.Event()
        self._system = System(Path(os.environ["GL002_TEST_SAP"]))
        self._unit = Unit()
        opened.append(self)

    def call(self, function: str, **parameters: Any) -> dict[str, Any]:
        assert threading.get_ident() == self._thread, "one connection belongs to one thread"
        if not self.alive:
            raise CommunicationError("connection closed", 1, "RFC_COMMUNICATION_FAILURE")
        if function == "Z_CUT":
            self.alive = False
            raise CommunicationError("connection reset by peer", 1, "RFC_COMMUNICATION_FAILURE")
        if function == "Z_SLOW":
            self.cancelled.wait(60)
            raise CommunicationError("cancelled", 7, "RFC_CANCELED")
        module = FUNCTIONS.get(function)
        if module is None:
            raise ABAPApplicationError(f"Function {function} not found", 5, "FU_NOT_FOUND")
        known = {**module.imports, **{n: [row] for n, row in module.tables.items()}}
        values = {name: initial(field) for name, field in known.items()}
        for name, value in parameters.items():
            if name not in known:
                raise ABAPApplicationError(f"field '{name}' not found", 20, "RFC_INVALID_PARAMETER")
            values[name] = _taken(value, known[name], name)
        try:
            result = module.body(self._system, self._unit, values)
        except Refused as error:
            raise ABAPApplicationError(error.text, 5, error.exception) from None
        exports = {**module.exports, **{n: [row] for n, row in module.tables.items()}}
        return {
            name: self._given(result.get(name, values.get(name, initial(field))), field)
            for name, field in exports.items()
        }

    def _given(self, value: Any, field: Any) -> Any:
        if isinstance(field, list):
            return [self._given(row, field[0]) for row in value]
        if isinstance(field, dict):
            return {n: self._given(value.get(n, initial(f)), f) for n, f in field.items()}
        return value if field in BUILT_IN else self._one(value, *split(field))

    def _one(self, value: Any, kind: str, length: int, _: int) -> Any:
        if kind in {"date", "time"} and self._config.get("dtime"):
            if kind == "date" and not value.strip("0"):
                return None
            moment = datetime.strptime(value, "%Y%m%d" if kind == "date" else "%H%M%S")  # noqa: DTZ007
            return moment.date() if kind == "date" else moment.time()
        if kind in {"decimal", "quantum", "curr"}:
            return Decimal(value)
        padded = kind in {"char", "unit", "cuky"} and not self._config.get("rstrip", True)
        return value.ljust(length) if padded else value

    def reset_server_context(self) -> None:
        self._unit = Unit()

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.alive = False


def _taken(value: Any, field: Any, where: str) -> Any:
    """What pyrfc converts; anything else is a TypeError."""
    if isinstance(field, list):
        if not isinstance(value, list):
            raise TypeError(f"table {where} requires list")
        return [_taken(row, field[0], where) for row in value]
    if isinstance(field, dict):
        if not isinstance(value, dict):
            raise TypeError(f"structure {where} requires dict")
        unknown = set(value) - set(field)
        if unknown:
            raise ABAPApplicationError(f"field '{unknown}' not found", 20, "RFC_INVALID_PARAMETER")
        return {n: _taken(value[n], f, n) if n in value else initial(f) for n, f in field.items()}
    return _elementary(value, field, where)


def _elementary(value: Any, field: str, where: str) -> Any:
    if isinstance(value, bytes):
        return value
    if isinstance(value, date):
        return f"{value:%Y%m%d}"
    if isinstance(value, time):
        return f"{value:%H%M%S}"
    kind = field if field in BUILT_IN else split(field)[0]
    if isinstance(value, bool) or (kind == "char" and not isinstance(value, str)):
        raise TypeError(f"{where}: an string is required, received {value!r}")
    try:
        return check(str(value), field, where)
    except Unfit as error:
        raise RFCLibError(str(error), 22, "RFC_CONVERSION_FAILURE") from None


__all__ = ["ABAPApplicationError", "CommunicationError", "Connection", "LogonError"]
