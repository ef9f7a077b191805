"""One rig per connector kind: `rigs/<kind>.py` holds the one `Rig` of that kind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from gl002.registry import kinds
from gl002.testing.rig import Rig


def rig_for(kind: str) -> type[Rig]:
    """The rig of a kind.

    Raises:
        LookupError: its module does not hold exactly one.
    """
    module = import_module(f"rigs.{kind}")
    found = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Rig) and cls.__module__ == module.__name__ and "kind" in vars(cls)
    ]
    if len(found) != 1:
        raise LookupError(f"rigs/{kind}.py holds {len(found)} rigs, not one")
    return found[0]


def rigs() -> Iterator[type[Rig]]:
    """Every rig there is; `tests/test_symmetry.py` names the kinds that lack one."""
    for kind in kinds():
        if find_spec(f"rigs.{kind}") is not None:
            yield rig_for(kind)
