"""The subset of PL/SQL that anonymous blocks of an integration use, run against a catalogue.

Blocks, records, assignment, IF, FOR over integers, calls in named notation, ||, a few functions.
What Oracle would not compile is refused with its own error: an unknown package, procedure,
parameter, field or constant; a missing or doubled argument; text that is too long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from peers.oracle.catalogue import Package, Procedure, Record, Table, compile_error, fitting
from peers.oracle.server import OraError

_TOKEN = re.compile(
    r"\s+|--[^\n]*|/\*.*?\*/|(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?(?!\.\w))"
    r"|(?P<bind>:\w+)|(?P<word>[A-Za-z][\w$#]*)|(?P<sign>:=|=>|\.\.|\|\||<>|<=|>=|[-+*/<>=(),;.%])",
    re.DOTALL,
)
_MOST_ROUNDS = 10_000


class Block:
    """One anonymous block: parsed, and run with the values of its binds in order of appearance."""

    def __init__(self, text: str, packages: Mapping[str, Package]) -> None:
        self._packages = packages
        self._tokens = list(_tokens(text))
        self.binds = list(dict.fromkeys(t[1:].lower() for k, t in self._tokens if k == "bind"))
        self._at = 0
        self._variables: dict[str, Any] = {}
        self._types: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self.outs: set[str] = set()

    def run(self, values: Sequence[Any]) -> dict[int, Any]:
        if len(values) != len(self.binds):
            raise OraError(1008, "not all variables bound")
        self._values = dict(zip(self.binds, values, strict=True))
        if self._take("DECLARE"):
            while not self._is("BEGIN"):
                self._declare()
        self._need("BEGIN")
        self._statements("END")
        self._need("END", ";")
        if self._at != len(self._tokens):
            raise self._unexpected()
        return {n: self._values[name] for n, name in enumerate(self.binds) if name in self.outs}

    # ---- words ------------------------------------------------------------------------------

    def _is(self, *words: str) -> bool:
        here = self._tokens[self._at : self._at + len(words)]
        return [t.upper() for _, t in here] == list(words)

    def _take(self, *words: str) -> bool:
        found = self._is(*words)
        self._at += len(words) * found
        return found

    def _need(self, *words: str) -> None:
        if not self._take(*words):
            raise self._unexpected()

    def _next(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise self._unexpected()
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _unexpected(self) -> OraError:
        word = self._tokens[self._at][1] if self._at < len(self._tokens) else "end-of-file"
        return compile_error("00103", f'Encountered the symbol "{word}"')

    def _path(self) -> list[str]:
        parts = [self._next("word").upper()]
        while self._take("."):
            parts.append(self._next("word").upper())
        return parts

    # ---- declarations -----------------------------------------------------------------------

    def _declare(self) -> None:
        name = self._next("word").upper()
        path = self._path()
        type_ = ".".join(path)
        if self._take("("):
            type_ += f"({self._next('number')})"
            self._need(")")
        self._types[name] = type_
        self._variables[name] = self._new(path)
        if self._take(":="):
            self._variables[name] = fitting(self._expression(), type_)
        self._need(";")

    def _new(self, path: list[str]) -> Any:
        if len(path) == 1:
            if path[0] not in {"NUMBER", "VARCHAR2", "DATE", "BOOLEAN", "PLS_INTEGER"}:
                raise compile_error("00201", f"identifier '{path[0]}' must be declared")
            return None
        package = self._package(path[0])
        if path[1] in package.records:
            return Record(".".join(path), package.records[path[1]])
        if path[1] in package.tables:
            return Table(".".join(path))
        raise compile_error("00302", f"component '{path[1]}' must be declared")

    def _package(self, name: str) -> Package:
        if name not in self._packages:
            raise compile_error("00201", f"identifier '{name}' must be declared")
        return self._packages[name]

    # ---- statements -------------------------------------------------------------------------

    def _statements(self, *ends: str) -> None:
        while not any(self._is(end) for end in ends):
            self._statement()

    def _statement(self) -> None:
        if self._take("IF"):
            self._if()
        elif self._take("FOR"):
            self._for()
        elif self._take("NULL", ";"):
            pass
        elif self._tokens[self._at][0] == "bind":
            name = self._next("bind")[1:].lower()
            self._need(":=")
            self._assign_bind(name, self._expression())
            self._need(";")
        else:
            path = self._path()
            if self._take(":="):
                self._assign(path, self._expression())
            else:
                self._call(path)
            self._need(";")

    def _if(self) -> None:
        holds = self._condition()
        self._need("THEN")
        if holds:
            self._statements("END")
        else:
            self._skip("IF")
        self._need("END", "IF", ";")

    def _for(self) -> None:
        name = self._next("word").upper()
        self._need("IN")
        first = self._expression()
        self._need("..")
        last = self._expression()
        self._need("LOOP")
        start = self._at
        for number in range(int(first), min(int(last), _MOST_ROUNDS) + 1):
            self._at = start
            self._variables[name], self._types[name] = number, "NUMBER"
            self._statements("END")
        if last < first:
            self._skip("LOOP")
        self._need("END", "LOOP", ";")

    def _skip(self, what: str) -> None:
        while not self._is("END", what):
            self._at += 1

    def _assign_bind(self, name: str, value: Any) -> None:
        self._values[name] = value
        self.outs.add(name)

    def _assign(self, path: list[str], value: Any) -> None:
        if path[0] not in self._types:
            raise compile_error("00201", f"identifier '{path[0]}' must be declared")
        if len(path) == 1:
            self._variables[path[0]] = fitting(value, self._types[path[0]])
            return
        record = self._variables[path[0]]
        if not isinstance(record, Record) or path[1] not in record.fields:
            raise compile_error("00302", f"component '{path[1]}' must be declared")
        record[path[1]] = fitting(value, record.fields[path[1]])

    # ---- calls ------------------------------------------------------------------------------

    def _call(self, path: list[str]) -> Any:
        if len(path) != 2:
            raise compile_error("00201", f"identifier '{path[0]}' must be declared")
        overloads = self._package(path[0]).procedures.get(path[1])
        if overloads is None:
            raise compile_error("00302", f"component '{path[1]}' must be declared")
        given = self._arguments()
        end = self._at
        wrong = compile_error("00306", f"wrong number or types of arguments in call to '{path[1]}'")
        fits = [p for p in overloads if _takes(p, given)]
        if len(fits) != 1:
            raise wrong
        arguments = {name: a for name, a in fits[0].arguments.items() if name in given}
        values: dict[str, Any] = {}
        for name, argument in arguments.items():
            self._at = given[name]
            if argument.mode == "IN":
                values[name] = self._typed(self._expression(), argument.type, wrong)
        outs = fits[0].run(values)
        if not isinstance(outs, dict):
            self._at = end
            return outs
        for name, argument in arguments.items():
            if argument.mode == "OUT":
                self._at = given[name]
                self._give(outs.get(name))
        self._at = end
        return None

    def _arguments(self) -> dict[str, int]:
        """The places of the values of a call, by the names of its parameters."""
        given: dict[str, int] = {}
        if self._take("("):
            while not self._take(")"):
                name = self._next("word").lower()
                self._need("=>")
                if name in given:
                    raise compile_error("00703", f"multiple instances of named argument '{name}'")
                given[name] = self._at
                self._pass_over_argument()
                self._take(",")
        return given

    def _typed(self, value: Any, type_: str, wrong: OraError) -> Any:
        if "." in type_:
            if not isinstance(value, Record | Table) or value.name != type_:
                raise wrong
            return value
        if isinstance(value, Record | Table):
            raise wrong
        return fitting(value, type_)

    def _give(self, value: Any) -> None:
        """An OUT argument's value to the variable or bind that stands there."""
        if self._tokens[self._at][0] == "bind":
            self._assign_bind(self._next("bind")[1:].lower(), value)
            return
        path = self._path()
        if path[0] not in self._types:
            raise compile_error("00201", f"identifier '{path[0]}' must be declared")
        if isinstance(value, Record | Table):
            if self._types[path[0]] != value.name:
                raise compile_error("00306", f"wrong type of argument '{path[0]}'")
            self._variables[path[0]] = value
        elif value is not None or not isinstance(self._variables.get(path[0]), Record | Table):
            self._assign(path, value)

    def _pass_over_argument(self) -> None:
        depth = 0
        while depth or not (self._is(",") or self._is(")")):
            if self._at >= len(self._tokens):
                raise self._unexpected()
            depth += self._is("(") - self._is(")")
            self._at += 1

    # ---- expressions ------------------------------------------------------------------------

    def _condition(self) -> bool:
        left = self._expression()
        if self._take("IS", "NULL"):
            return left is None
        if self._take("IS", "NOT", "NULL"):
            return left is not None
        sign = self._next("sign")
        right = self._expression()
        if left is None or right is None:
            return False
        return {"=": left == right, "<>": left != right, "<": left < right, ">": left > right}[sign]

    def _expression(self) -> Any:
        value = self._term()
        while self._take("||"):
            value = f"{'' if value is None else value}{_text(self._term())}"
        return value

    def _term(self) -> Any:
        if self._at >= len(self._tokens):
            raise self._unexpected()
        kind, token = self._tokens[self._at]
        if kind == "text":
            self._at += 1
            return token[1:-1].replace("''", "'") or None
        if kind == "number":
            self._at += 1
            return Decimal(token) if "." in token else int(token)
        if kind == "bind":
            self._at += 1
            return self._values[token[1:].lower()]
        path = self._path()
        return self._name(path)

    def _name(self, path: list[str]) -> Any:  # noqa: PLR0911 (one per form)
        match path:
            case ["NULL"]:
                return None
            case ["TRUE"] | ["FALSE"]:
                return path == ["TRUE"]
            case ["SYSDATE"]:
                return datetime.now()  # noqa: DTZ005 (DATE has no zone)
            case ["CHR"] | ["SUBSTR"] | ["NVL"]:
                return self._function(path[0])
            case [name] if name in self._variables:
                return self._variables[name]
            case [name, part] if isinstance(self._variables.get(name), Record):
                if part not in self._variables[name].fields:
                    raise compile_error("00302", f"component '{part}' must be declared")
                return self._variables[name][part]
            case [name, part] if part in self._package(name).constants:
                return self._package(name).constants[part]
            case [_, _]:
                return self._call(path)
        raise compile_error("00201", f"identifier '{'.'.join(path)}' must be declared")

    def _function(self, name: str) -> Any:
        self._need("(")
        arguments = [self._expression()]
        while self._take(","):
            arguments.append(self._expression())
        self._need(")")
        if name == "CHR":
            return chr(int(arguments[0]))
        if name == "NVL":
            return arguments[1] if arguments[0] is None else arguments[0]
        start, length = int(arguments[1]) - 1, int(arguments[2])
        return _text(arguments[0])[start : start + length] or None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _takes(procedure: Procedure, given: Mapping[str, int]) -> bool:
    """Whether an overload has all these arguments, and they are all that it needs."""
    known = procedure.arguments
    return given.keys() <= known.keys() and all(
        name in given or argument.optional for name, argument in known.items()
    )


def _tokens(text: str) -> Any:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise compile_error("00103", f'Encountered the symbol "{text[at]}"')
        at = match.end()
        if match.lastgroup is not None:
            yield match.lastgroup, match.group()
