"""Arithmetic over tags: parsed once into a tree of plain functions, never handed to `eval`.

Allowed: numbers, tag names ('boiler1.steam_flow'), + - * / **, comparisons (which give 1 or 0),
and min, max, abs, sqrt. A tag whose name is no identifier stands in quotes: tag('FT-101').
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gl002.errors import ConfigError, DataError

_Compiled: TypeAlias = Callable[[Mapping[str, float]], float]

_MOST_NODES = 200
_LARGEST_POWER = 16


def _power(base: float, power: float) -> float:
    if abs(power) > _LARGEST_POWER:
        raise DataError(f"a power of {power:g} is beyond {_LARGEST_POWER}")
    result = base**power
    if isinstance(result, complex):
        raise DataError("a root of a negative number")
    return float(result)


_BINARY: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
}
_COMPARE: Mapping[type, Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": abs,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}
_OF_ONE = {"abs", "sqrt"}


class Expression:
    """An expression ready to be evaluated any number of times.

    Args:
        text: the expression.

    Attributes:
        tags: names of the tags it needs, in the order they appear.

    Raises:
        ConfigError: it is no expression of this small language; says which part.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tags: list[str] = []
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = error.msg if isinstance(error, SyntaxError) else error
            raise ConfigError(f"'{text[:80]}' is no expression: {why}") from None
        if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
            raise ConfigError(f"the expression '{text[:40]}...' is longer than {_MOST_NODES} terms")
        self._compiled = self._compile(tree.body)

    def __call__(self, values: Mapping[str, float]) -> float:
        """The result for these tag values.

        Raises:
            DataError: no finite result: a division by zero, a root of a negative number.
        """
        try:
            result = float(self._compiled(values))
        except (ArithmeticError, ValueError) as error:
            raise DataError(f"{self.text}: {error}") from None
        if not math.isfinite(result):
            raise DataError(f"{self.text}: the result is {result}")
        return result

    def _compile(self, node: ast.expr) -> _Compiled:
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._tag(_dotted(node))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner, sign = self._compile(node.operand), -1 if isinstance(node.op, ast.USub) else 1
            return lambda values: sign * inner(values)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._two(_BINARY[type(node.op)], node.left, node.right)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            return self._two(_COMPARE[type(node.ops[0])], node.left, node.comparators[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args)
        raise ConfigError(f"'{ast.unparse(node)[:60]}' is not allowed in an expression")

    def _constant(self, value: Any) -> _Compiled:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{value!r} is no number")
        try:
            number = float(value)
        except OverflowError:
            raise ConfigError("a number in it is larger than any value can be") from None
        return lambda _: number

    def _tag(self, name: str) -> _Compiled:
        if name not in self.tags:
            self.tags.append(name)
        return lambda values: values[name]

    def _two(
        self, function: Callable[[float, float], float], left: ast.expr, right: ast.expr
    ) -> _Compiled:
        a, b = self._compile(left), self._compile(right)
        return lambda values: function(a(values), b(values))

    def _call(self, name: str, args: list[ast.expr]) -> _Compiled:
        if name == "tag" and len(args) == 1 and isinstance(args[0], ast.Constant):
            return self._tag(str(args[0].value))
        function = _FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(sorted(_FUNCTIONS))
            raise ConfigError(f"there is no function '{name}'", hint=f"known: {known}, tag('name')")
        if (len(args) == 1) != (name in _OF_ONE) or not args:
            wanted = "one value" if name in _OF_ONE else "two values or more"
            raise ConfigError(f"'{name}' takes {wanted}, not {len(args)}")
        parts = [self._compile(arg) for arg in args]
        return lambda values: function(*(part(values) for part in parts))


def _dotted(node: ast.expr) -> str:
    """'boiler1.steam_flow' from its syntax tree."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ConfigError(f"'{ast.unparse(node)[:60]}' is no tag name")
