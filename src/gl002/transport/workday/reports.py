"""Reports as a service: one piece after the other, each limited in time, bytes and rows.

Source: Workday, Reports-as-a-Service: `customreport2/<tenant>/<owner>/<report>`, prompts as
parameters of the address, `format=json`. What is too much or too slow is asked for in halves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from gl002.errors import DataError, GL002Error, RequestFailed, RequestTimeout
from gl002.transport.http.client import Request
from gl002.transport.workday.pieces import Dates, Met, Piece, Row, Values, Whole
from gl002.transport.workday.session import WorkdaySession
from gl002.wire.report_rows import MIB, ReportRows, TooMuch

_FORMAT = "format"  # the parameter that is not a prompt


class Reports(WorkdaySession):
    """A session that reads reports."""

    async def report(self, path: str, /, **prompts: str) -> Sequence[Row]:
        """The rows of a report that is enabled as a web service: those on shift, say.

        Args:
            path: owner and name, as in the report's address: 'ISU_GL002/Crew_On_Shift'.
            prompts: its parameters, by their aliases.

        Raises:
            RequestFailed: there is no such report, it is not shared with us, or it is more than
                `report_rows` or `report_mb`; `report_pieces` reads it.
        """
        return [row async for row in self.report_pieces(path, prompts)]

    async def report_pieces(
        self,
        path: str,
        /,
        prompts: Mapping[str, str] | None = None,
        *,
        dates: Dates | Mapping[str, Any] | None = None,
        values: Values | Mapping[str, Any] | None = None,
        key: str | Sequence[str] = (),
    ) -> AsyncIterator[Row]:
        """The rows of a report, asked for piece by piece; at no time more than a piece is held.

        A piece that takes longer than `report_timeout`, or is more than `report_rows` or
        `report_mb`, is asked for in halves, down to the smallest. The rows of a piece come when
        all of it is there.

        Args:
            path: owner and name, 'ISU_GL002/Shifts'.
            prompts: those that are the same for every piece.
            dates: cut by two prompts that bound a date; see `Dates`.
            values: cut by the values of one prompt; see `Values`.
            key: columns that together tell a row from all others. A row that more than one piece
                has comes once; without a key, as often as there are pieces that have it.

        Raises:
            DataError: neither makes sense; nothing was sent.
            RequestFailed: a piece failed, and which; the rows of those before it have come.
        """
        request = self._request_of(path, prompts or {})
        cut = _cut(dates, values)
        columns = [key] if isinstance(key, str) and key else list(key)
        if isinstance(cut, Dates) and cut.overlap and not columns:
            raise DataError(
                f"report {path}: 'overlap' without a 'key' gives rows twice",
                hint="name the columns that tell rows apart: key=['Employee_ID', 'Shift_Date']",
            )
        met = Met(columns, f"{self.name}: report {path}")
        for piece in [Whole()] if cut is None else cut.pieces():
            async for rows in self._piece(path, request, piece):
                for row in met.new(rows):
                    yield row

    async def _piece(
        self, path: str, request: Request, piece: Piece
    ) -> AsyncIterator[Sequence[Row]]:
        """A piece, or as many of its parts as it takes."""
        waiting = [piece]
        while waiting:
            one = waiting.pop()
            what = f"report {path}"
            if one.prompts:
                what += f": piece {', '.join(f'{k}={v}' for k, v in one.prompts.items())}"
            try:
                rows = await self._call(partial(self._rows, request, one, what), what=what,
                                        own_limit=True)  # fmt: skip
            except TooMuch as error:
                halves = one.halves()
                if not halves:
                    raise _too_large(error, one) from None
                self.log.info("%s: in halves", error)
                waiting += reversed(halves)
            else:
                yield rows

    async def _rows(self, request: Request, piece: Piece, what: str) -> Sequence[Row]:
        """One attempt of one piece."""
        c = self.config
        rows = ReportRows(most=c.report_rows, largest=c.report_mb * MIB)
        where = f"{self.name}: {what}: {c.endpoint}"
        query = [*request.query, *piece.prompts.items(), (_FORMAT, "json")]
        asked = Request("GET", request.path, query, request.headers)
        try:
            answer = await self._exchange(asked, taker=rows.take, limit=self._report_limit)
            if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
                raise TooMuch("Workday took too long")
            if not answer.ok:
                raise await self._not_for_us(answer, where)
            return rows.end()
        except TimeoutError as error:
            if isinstance(error, RequestTimeout):
                raise
            raise TooMuch(f"{where}: no end within {self._report_limit:g} s") from None
        except RequestFailed as error:
            raise _placed(error, where) from None

    def _request_of(self, path: str, prompts: Mapping[str, str]) -> Request:
        owner, slash, title = path.strip("/").partition("/")
        if not slash or not owner or not title:
            raise DataError(f"'{path}' is no report", hint="write 'owner/name'")
        if _FORMAT in prompts:
            raise DataError(f"report {path}: '{_FORMAT}' is no prompt", hint="leave it out")
        there = f"{quote(owner, safe='')}/{quote(title, safe='')}"
        where = f"ccx/service/customreport2/{self.config.tenant}/{there}"
        return Request("GET", where, list(prompts.items()), self._basic())


def _cut(
    dates: Dates | Mapping[str, Any] | None, values: Values | Mapping[str, Any] | None
) -> Dates | Values | None:
    if dates is not None and values is not None:
        raise DataError("a report is cut by 'dates' or by 'values', not by both")
    try:
        if dates is not None:
            return dates if isinstance(dates, Dates) else Dates.parse(dates, "dates")
        if values is not None:
            return values if isinstance(values, Values) else Values.parse(values, "values")
    except GL002Error as error:
        raise DataError(str(error.args[0]), hint=error.hint) from None
    return None


def _placed(error: RequestFailed, where: str) -> RequestFailed:
    """The error with its place."""
    message = str(error.args[0])
    if not message.startswith(where):
        error.args = (f"{where}: {message}", *error.args[1:])
    return error


def _too_large(error: TooMuch, piece: Piece) -> RequestFailed:
    smallest = not isinstance(piece, Whole)
    hint = "narrow the report by a further prompt" if smallest else "read it by report_pieces"
    return RequestFailed(f"{error.args[0]}", hint=f"{hint}, or raise report_rows, report_mb or "
                         "report_timeout")  # fmt: skip
