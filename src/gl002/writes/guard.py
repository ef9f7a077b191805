"""Checks a write, lets a person confirm it, sends it once, reads it back, and records each step.

The gateway is no safety device: the controller and the burner management must be safe whatever
arrives. This is a second fence: off by default, listed points only, limits refused and never
clamped, a fresh good value now or no write, the plant in the state for it or no write, no audit
entry or no write, never repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from gl002.config.sections import PermissiveSettings, PointSettings, WritesSettings
from gl002.connector import Connector
from gl002.context import Context
from gl002.errors import GL002Error, WriteRefused
from gl002.model import Sample, Value, is_good, now_ns, quality_name
from gl002.units import UnitError, convert
from gl002.writes.clock import Running, running
from gl002.writes.memory import WriteMemory

Code: TypeAlias = Literal[
    "MODE",
    "POINT_NOT_LISTED",
    "NOT_FINITE",
    "UNIT",
    "ABS_LIMIT",
    "PV_BAD",
    "PERMISSIVE",
    "STEP_LIMIT",
    "MIN_INTERVAL",
    "RELINQUISH",
    "CONFIRMATION",
]
Outcome: TypeAlias = Literal[
    "dry_run", "read_back_ok", "read_back_differs", "relinquished", "unknown"
]

_TOLERANCE = 1e-5  # relative; a single-precision register cannot hold more


class WriteRequest(NamedTuple):
    """What somebody wants written.

    Attributes:
        point: id of a configured point.
        value: in `unit`; None takes back what was written, where the other side knows that.
        unit: '' for the point's own.
        actor: who asks.
        reason: why; stands in the audit file.
    """

    point: str
    value: float | None
    unit: str = ""
    actor: str = ""
    reason: str = ""


class Check(NamedTuple):
    """One condition and how it came out."""

    code: Code
    ok: bool
    detail: str


class Plan(NamedTuple):
    """What a write would do; nothing has been sent.

    Attributes:
        request: as given.
        value: in the point's unit; None where a command is taken back.
        unit: the point's unit.
        current: what the point has now, None where it could not be read.
        checks: every condition, the failed ones included.
    """

    request: WriteRequest
    value: float | None
    unit: str
    current: Sample | None
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


class Result(NamedTuple):
    """What became of a write.

    Attributes:
        outcome: 'read_back_ok' only where the point has the value now. 'relinquished': what was
            commanded is taken back, and `after` holds. 'unknown': it was sent, and there is no
            answer; the write is not repeated, look at the plant.
        before: value before.
        after: value read back, None where it could not be read.
        detail: why there is no answer; '' where there is one.
    """

    outcome: Outcome
    before: Value
    after: Value
    detail: str = ""


class WriteGuard:
    """Decides on writes to the configured points.

    Args:
        settings: `writes:` of the configuration.
        connectors: by name.
        context: for the audit file, and the folder that keeps when each point was last written.
        now: the wall clock in nanoseconds; tests give their own.
        running: the running time of the machine; tests give their own.
    """

    def __init__(
        self,
        settings: WritesSettings,
        connectors: Mapping[str, Connector[Any]],
        context: Context,
        *,
        now: Callable[[], int] = now_ns,
        running: Callable[[], Running] = running,
    ) -> None:
        self._settings = settings
        self._connectors = connectors
        self._now = now
        self._points = {point.id: point for point in settings.points}
        self._audit = context.audit
        self._memory = WriteMemory(context.state_dir, now, running)

    @property
    def points(self) -> Mapping[str, PointSettings]:
        """The points that may be written, by id."""
        return self._points

    async def check(self, request: WriteRequest) -> Plan:
        """Everything that would decide on this write, evaluated now. Sends nothing."""
        mode = self._settings.mode
        checks = [Check("MODE", mode != "off", f"writes.mode is '{mode}'")]
        point = self._points.get(request.point)
        if point is None:
            known = ", ".join(sorted(self._points)) or "none"
            checks.append(Check("POINT_NOT_LISTED", ok=False, detail=f"listed are: {known}"))
            return Plan(request, request.value, request.unit, None, tuple(checks))
        if request.value is None:
            checks.append(self._can_relinquish(point))
            return Plan(request, None, point.unit, (await self._current(point))[0], tuple(checks))
        value, of_value = checks_of_value(request.value, request.unit, point)
        checks += of_value
        current, trouble = await self._current(point)
        checks.append(trouble or _readable(current))
        if current is not None and isinstance(current.value, int | float):
            checks.append(_step(value, float(current.value), point))
        checks.append(self._interval(point))
        checks += [await self._permitted(point, each) for each in point.permissives]
        return Plan(request, value, point.unit, current, tuple(checks))

    async def operate(self, plan: Plan, *, confirmed_by: str) -> Result:
        """Check again, and if nothing speaks against it send the write once and read it back.

        One write at a time, whoever asks: what another has just sent counts for the checks.

        Args:
            plan: from `check`.
            confirmed_by: the person who has seen the plan and said yes.

        Raises:
            WriteRefused: a check fails now, nobody confirmed, or it cannot be audited.
            ConnectorError: the other side refused, or nothing was sent; nothing was changed.
        """
        async with self._memory.turn():
            return await self._operate(plan, confirmed_by)

    async def _operate(self, plan: Plan, confirmed_by: str) -> Result:
        fresh = await self.check(plan.request)
        checks = (*fresh.checks, Check("CONFIRMATION", bool(confirmed_by), "a person must confirm"))
        failed = [check for check in checks if not check.ok]
        if failed:
            await self._record(
                "write.refused", fresh, confirmed_by, ", ".join(c.code for c in failed)
            )
            raise WriteRefused(
                f"{plan.request.point}: " + "; ".join(f"{c.code}: {c.detail}" for c in failed)
            )
        before = fresh.current.value if fresh.current is not None else None
        await self._record("write.approved", fresh, confirmed_by, self._settings.mode)
        if self._settings.mode == "dry_run":
            return Result("dry_run", before, before)
        if plan.request.value is not None:
            self._memory.remember(plan.request.point)
        return await self._send(self._points[plan.request.point], fresh, before)

    async def _send(self, point: PointSettings, plan: Plan, before: Value) -> Result:
        connector = self._connectors[point.connector]
        try:
            await connector.write(point.address, plan.value)
        except GL002Error as error:
            if not error.maybe_done:
                raise
            return Result("unknown", before, await self._after(point), str(error))
        after = await self._after(point)
        if plan.value is None:
            return Result("relinquished", before, after)
        same = isinstance(after, int | float) and math.isclose(
            after, plan.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
        )
        return Result("read_back_ok" if same else "read_back_differs", before, after)

    # ---- looking ----------------------------------------------------------------------------

    async def _read(self, connection: str, address: str) -> Sample | str:
        """The value now, or why it cannot be read."""
        connector = self._connectors.get(connection)
        if connector is None:
            return f"there is no connection '{connection}'"
        try:
            return (await connector.read([address]))[0]
        except GL002Error as error:
            return str(error)

    async def _current(self, point: PointSettings) -> tuple[Sample | None, Check | None]:
        found = await self._read(point.connector, point.address)
        if isinstance(found, str):
            return None, Check("PV_BAD", ok=False, detail=found)
        return found, None

    async def _permitted(self, point: PointSettings, permissive: PermissiveSettings) -> Check:
        """What the plant must be for a write; what cannot be known forbids it."""
        found = await self._read(permissive.connector or point.connector, permissive.address)
        if isinstance(found, str):
            return Check("PERMISSIVE", ok=False, detail=f"{permissive.address}: {found}")
        detail = f"{permissive.address} is {_said(found.value)}, must be {_wanted(permissive)}"
        if not is_good(found.quality):
            return Check("PERMISSIVE", ok=False, detail=f"{detail} ({quality_name(found.quality)})")
        age = (self._now() - found.time) / 1e9
        if permissive.max_age is not None and age > permissive.max_age:
            late = f"measured {age:.0f} s ago, at most {permissive.max_age:g} s"
            return Check("PERMISSIVE", ok=False, detail=f"{detail}; {late}")
        return Check("PERMISSIVE", _holds(permissive, found.value), detail)

    async def _after(self, point: PointSettings) -> Value:
        sample, _ = await self._current(point)
        return sample.value if sample is not None and is_good(sample.quality) else None

    def _can_relinquish(self, point: PointSettings) -> Check:
        connector = self._connectors.get(point.connector)
        able = connector is not None and connector.relinquishes
        what = "takes a command back" if able else "knows no commands that are taken back"
        return Check("RELINQUISH", able, f"'{point.connector}' {what}")

    def _interval(self, point: PointSettings) -> Check:
        least, since = point.limits.min_interval, self._memory.since(point.id)
        detail = f"last written {since:.0f} s ago, at least {least:g} s apart"
        return Check(
            "MIN_INTERVAL", since >= least, detail if since < math.inf else "never written"
        )

    async def _record(self, action: str, plan: Plan, confirmed_by: str, result: str) -> None:
        request = plan.request
        await self._audit.record(
            action,
            request.point,
            actor=confirmed_by or request.actor,
            before=plan.current.value if plan.current is not None else None,
            after="relinquish" if plan.value is None else plan.value,
            unit=plan.unit,
            reason=request.reason,
            result=result,
        )


def checks_of_value(asked: float, unit: str, point: PointSettings) -> tuple[float, list[Check]]:
    """The value in the point's unit, and what can be said of it without looking at the plant."""
    value, of_unit = _in_own_unit(asked, unit, point)
    return value, [of_unit, _finite(value), _within(value, point)]


def _in_own_unit(asked: float, unit: str, point: PointSettings) -> tuple[float, Check]:
    if not unit or unit == point.unit:
        return asked, Check("UNIT", ok=True, detail=point.unit)
    try:
        value = convert(asked, unit, point.unit)
    except UnitError as error:
        return asked, Check("UNIT", ok=False, detail=str(error))
    return value, Check("UNIT", ok=True, detail=f"{value:g} {point.unit}")


def _finite(value: float) -> Check:
    return Check("NOT_FINITE", math.isfinite(value), f"{value:g}")


def _within(value: float, point: PointSettings) -> Check:
    low, high = point.limits.min, point.limits.max
    return Check("ABS_LIMIT", low <= value <= high, f"{low:g} .. {high:g} {point.unit}")


def _readable(current: Sample | None) -> Check:
    if current is None:
        return Check("PV_BAD", ok=False, detail="the value now cannot be read")
    value = current.value
    good = is_good(current.quality) and isinstance(value, int | float) and math.isfinite(value)
    return Check("PV_BAD", good, f"now {current.value} ({quality_name(current.quality)})")


def _step(value: float, current: float, point: PointSettings) -> Check:
    step, most = abs(value - current), point.limits.max_step
    if most is None:
        return Check("STEP_LIMIT", ok=True, detail="no limit")
    return Check("STEP_LIMIT", step <= most, f"a step of {step:g}, at most {most:g} {point.unit}")


def _holds(permissive: PermissiveSettings, value: Value) -> bool:
    if permissive.equals is not None:
        return value == permissive.equals
    low = -math.inf if permissive.min is None else permissive.min
    high = math.inf if permissive.max is None else permissive.max
    return isinstance(value, int | float) and low <= value <= high


def _wanted(permissive: PermissiveSettings) -> str:
    low, high = permissive.min, permissive.max
    if permissive.equals is not None:
        return _said(permissive.equals)
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _said(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
