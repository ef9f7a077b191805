"""A PL/SQL catalogue: packages, procedures, parameters, records, and which value fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from peers.oracle.server import OraError


class Argument(NamedTuple):
    """A parameter: 'IN' or 'OUT', its type, whether it may be left out."""

    mode: str
    type: str
    optional: bool = False


@dataclass
class Procedure:
    """A procedure, or a function where it returns something: `run(arguments) -> (value, outs)`."""

    arguments: Mapping[str, Argument]
    run: Callable[[dict[str, Any]], Any]


@dataclass
class Package:
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Sequence[str] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    procedures: Mapping[str, Sequence[Procedure]] = field(default_factory=dict)


class Record(dict[str, Any]):
    def __init__(self, name: str, fields: Mapping[str, str]) -> None:
        super().__init__(dict.fromkeys(fields))
        self.name, self.fields = name, fields


class Table(list[Any]):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def compile_error(code: str, text: str) -> OraError:
    return OraError(6550, f"line 1, column 1:\nPLS-{code}: {text}")


def fitting(value: Any, type_: str) -> Any:
    """A value as a variable of that type takes it."""
    if value is None:
        return None
    name, _, size = type_.upper().partition("(")
    if name == "VARCHAR2":
        text = value if isinstance(value, str) else str(value)
        if size and len(text.encode()) > int(size.rstrip(") CHAR")):
            raise OraError(
                6502, "PL/SQL: numeric or value error: character string buffer too small"
            )
        return text or None
    if name == "NUMBER" and not (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        raise OraError(6502, "PL/SQL: numeric or value error: character to number conversion error")
    if name == "DATE" and not isinstance(value, datetime):
        raise OraError(1861, "literal does not match format string")
    if name == "BOOLEAN" and not isinstance(value, bool):
        raise compile_error("00382", "expression is of wrong type")
    return value
