"""Errors: each is also the builtin one expects, survives pickling, and says what to do."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from gl002 import errors
from gl002.config.problems import InvalidConfig, Problem
from gl002.errors import GL002Error, MissingDependency, PartialWrite, require

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, GL002Error)]
BUILTINS = {
    "ConfigError": ValueError, "MissingDependency": ImportError, "DataError": ValueError,
    "ConnectFailed": ConnectionError, "AuthFailed": ConnectionError, "NotAllowed": ConnectionError,
    "RequestTimeout": TimeoutError, "TagNotFound": LookupError, "UnitError": ValueError,
    "Unsupported": NotImplementedError, "WriteRefused": PermissionError,
}  # fmt: skip
RETRYABLE = {"BufferFull", "ConnectFailed", "RequestTimeout", "Busy"}


def _made(cls: type[GL002Error]) -> GL002Error:
    if cls is PartialWrite:
        return PartialWrite("what failed", {3: "too long"}, hint="what to do")
    return cls("what failed", hint="what to do")


@pytest.mark.parametrize("cls", ALL)
def test_the_message_ends_with_what_to_do(cls: type[GL002Error]) -> None:
    assert str(_made(cls)) == "what failed (what to do)"
    assert _made(cls).args == ("what failed",)


@pytest.mark.parametrize("cls", ALL)
def test_an_error_without_a_hint_is_only_its_message(cls: type[GL002Error]) -> None:
    error = cls("what failed", {}) if cls is PartialWrite else cls("what failed")
    assert (str(error), error.hint) == ("what failed", "")


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    "travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)  # fmt: skip
def test_an_error_survives_a_journey(cls: type[GL002Error], travel: object) -> None:
    error = _made(cls)
    arrived = travel(error)  # type: ignore[operator]
    assert type(arrived) is cls
    assert (str(arrived), arrived.hint, arrived.args) == (str(error), error.hint, error.args)
    assert getattr(arrived, "rejected", None) == getattr(error, "rejected", None)


def test_a_configuration_error_keeps_its_problems_on_a_journey() -> None:
    error = InvalidConfig([Problem(("a", 0, "b"), "is missing", "add it")])
    arrived = pickle.loads(pickle.dumps(error))
    assert arrived.problems == error.problems
    assert str(arrived) == str(error) == "a[0].b: is missing\n    hint: add it"


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_an_error_is_also_the_builtin_one_expects(name: str, builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise _made(getattr(errors, name))


def test_exactly_these_come_again() -> None:
    assert {cls.__name__ for cls in ALL if cls.retryable} == RETRYABLE


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    words = set((errors.__doc__ or "").split())
    drawn = {cls.__name__ for cls in ALL if cls.__name__ in words}
    assert drawn == {cls.__name__ for cls in ALL}


def test_no_error_hides_a_builtin_name() -> None:
    import builtins

    assert [cls.__name__ for cls in ALL if hasattr(builtins, cls.__name__)] == []


def test_a_missing_driver_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingDependency) as caught:
        require("no_such_driver.client", extra="opc_ua")
    assert str(caught.value) == (
        "the driver 'no_such_driver' is not installed (pip install \"gl002[opc-ua]\")"
    )


def test_an_installed_driver_passes_without_being_imported() -> None:
    import sys

    before = set(sys.modules)
    require("wsgiref.simple_server", extra="x")
    assert "wsgiref" not in set(sys.modules) - before


def test_what_was_refused_says_why_once() -> None:
    assert str(PartialWrite("2 refused", {4: "too long", 2: "NaN"})) == (
        "2 refused (rejected[2]: NaN)"
    )
    assert str(PartialWrite("1 refused: NaN", {2: "NaN"})) == "1 refused: NaN"
    assert str(PartialWrite("1 refused", {2: "NaN"}, hint="ask")) == "1 refused (ask)"
