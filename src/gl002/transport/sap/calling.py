"""Calls whose RETURN is judged: by themselves, or several committed or undone together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from gl002.errors import Busy, GL002Error, RequestFailed
from gl002.transport.http.answer import Unreadable
from gl002.transport.sap.functions import COMMIT, ROLLBACK, Unit
from gl002.wire import bapi


class Functions(Protocol):
    """Either way to call functions."""

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call one by itself."""
        ...

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Calls that are committed together."""
        ...


async def judged(
    unit: Unit, function: str, parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """A call's result and warnings; after an error everything of the unit is undone."""
    result = await unit.call(function, parameters)
    return result, await _judged(unit, function, result)


async def committed(unit: Unit) -> None:
    """Commit what a unit has done.

    Raises:
        RequestFailed: SAP says that it did not; Busy where it may do so later.
        Unreadable: the call broke off, be it before the commit or behind it: that is not told.
    """
    try:
        result = await unit.call(COMMIT, {"WAIT": "X"})
    except Busy:
        raise
    except RequestFailed as error:
        raise Unreadable(str(error.args[0]), hint=error.hint) from error
    await _judged(unit, COMMIT, result)


async def _judged(unit: Unit, function: str, result: Mapping[str, Any]) -> list[str]:
    said = bapi.messages(result)
    failed = bapi.failure(said, function)
    if failed is not None:
        await undo(unit)
        raise failed
    return bapi.warnings(said)


async def undo(unit: Unit) -> None:
    """Undo what a unit has done. Where SAP does not do it, it is not committed either.

    So what SAP said before is told, and not that there was no answer to this.
    """
    with suppress(GL002Error):
        await unit.call(ROLLBACK, {})


async def called(
    functions: Functions,
    function: str,
    parameters: Mapping[str, Any],
    *,
    commit: bool,
    check: bool,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Call a function, and commit it if asked to.

    Args:
        functions: how.
        function: its name.
        parameters: of it.
        commit: in one session; rolled back where RETURN has an error.
        check: whether an error in RETURN is raised.
        warn: is told warnings in RETURN.
    """
    if not commit:
        result = await functions.call(function, parameters)
        said = bapi.messages(result)
        failed = bapi.failure(said, function) if check else None
        if failed is not None:
            raise failed
    else:
        async with functions.unit() as unit:
            result = await unit.call(function, parameters)
            said = bapi.messages(result)
            failed = bapi.failure(said, function)
            if failed is None:
                await committed(unit)
            else:
                await undo(unit)
        if failed is not None and check:
            raise failed
    for warning in bapi.warnings(said):
        warn(f"{function}: {warning}")
    return result
