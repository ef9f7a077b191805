"""The past of a stream: as recorded, on a grid, for a plot, summed up; page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from gl002.errors import DataError, RequestFailed
from gl002.model import Sample
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.wire.pi_batch import items_of
from gl002.wire.pi_time import RESOLUTION, pieces, points, to_text
from gl002.wire.pi_values import Reading, reading

Mode: TypeAlias = Literal["recorded", "interpolated", "plot", "summary"]
Summary: TypeAlias = Literal[
    "Total", "Average", "Minimum", "Maximum", "Range", "StdDev", "PopulationStdDev", "Count",
    "PercentGood",
]  # fmt: skip

FIELDS = (
    "Items.Timestamp;Items.Value;Items.Good;Items.Questionable;Items.Substituted;"
    "Items.UnitsAbbreviation;Items.Errors;WebException"
)
_SUMMARY_FIELDS = "Items.Type;Items.Value;WebException"


class Page(NamedTuple):
    """Some recorded values, in the order asked for.

    Attributes:
        readings: oldest first, where the range goes forward.
        onwards: time to go on from, raw; None at the end.
    """

    readings: list[Reading]
    onwards: int | None


def readings_in(content: object) -> list[Reading]:
    """The values in an answer.

    Raises:
        RequestFailed: it has none, or one is no value.
    """
    try:
        return [reading(item) for item in items_of(content)]
    except DataError as error:
        raise RequestFailed(str(error)) from None


def paged(readings: list[Reading], most: int) -> Page:
    """What to give of a page, and where the next begins.

    A page may end between two values of the same time: those are left for the next page, so that
    none is missed and none comes twice. Where a whole page has one time, the rest of that time
    cannot be reached: the next page begins where the archive can tell the time from it.
    """
    if len(readings) < most:
        return Page(readings, None)
    last = readings[-1].raw
    before = [r for r in readings if r.raw != last]
    if before:
        return Page(before, last)
    return Page(readings, last + RESOLUTION)


class History:
    """Reads the past of one stream.

    Args:
        api: to ask.
        web_id: of the stream.
        tag: of the samples.
    """

    def __init__(self, api: PIWebAPI, web_id: str, tag: str) -> None:
        self._api = api
        self._web_id = web_id
        self._tag = tag

    async def recorded(self, start: str, end: str) -> AsyncIterator[list[Reading]]:
        """Recorded values from start to end, both included, a page at a time."""
        most = self._api.config.page_size
        onwards: str | None = start
        while onwards is not None:
            query = [("startTime", onwards), ("endTime", end), ("maxCount", str(most)),
                     ("boundaryType", "Inside"), ("selectedFields", FIELDS)]  # fmt: skip
            page = paged(readings_in(await self._get("recorded", query)), most)
            yield page.readings
            before, onwards = onwards, None if page.onwards is None else to_text(page.onwards)
            if onwards == before:
                raise RequestFailed(
                    f"{self._api.name}: {self._tag}: more than {most} values at {before}",
                    hint="raise 'page_size'",
                )

    async def samples(self, start: str, end: str) -> list[Sample]:
        """All recorded values from start to end, as far as they fit.

        Raises:
            RequestFailed: there are more than `max_values`.
        """
        found: list[Sample] = []
        async for page in self.recorded(start, end):
            found += self._samples(page)
            self._check(len(found))
        return found

    def _check(self, count: int) -> None:
        most = self._api.config.max_values
        if count > most:
            raise RequestFailed(
                f"{self._api.name}: {self._tag}: more than {most} values",
                hint="a shorter range, a longer interval, mode='plot'; or history(), which gives "
                "them in batches; or raise 'max_values'",
            )

    async def interpolated(self, start: str, end: str, step: str) -> list[Sample]:
        """Values on a grid, both ends included.

        Raises:
            RequestFailed: they are more than `max_values`.
        """
        self._check(points(start, end, step))
        found: list[Sample] = []
        for begin, until in pieces(start, end, step, self._api.config.page_size):
            query = [("startTime", begin), ("endTime", until), ("interval", step),
                     ("selectedFields", FIELDS)]  # fmt: skip
            found += self._samples(readings_in(await self._get("interpolated", query)))
        return found

    async def plot(self, start: str, end: str, intervals: int) -> list[Sample]:
        """Values that draw the same picture in so many intervals: at most five for each."""
        query = [("startTime", start), ("endTime", end), ("intervals", str(intervals)),
                 ("selectedFields", FIELDS)]  # fmt: skip
        return self._samples(readings_in(await self._get("plot", query)))

    async def summary(self, start: str, end: str, step: str | None, kind: Summary) -> list[Sample]:
        """One summary of the range, or of each interval in it; its time is the interval's start."""
        query = [("startTime", start), ("endTime", end), ("summaryType", kind),
                 ("selectedFields", _SUMMARY_FIELDS)]  # fmt: skip
        if step is not None:
            query.append(("summaryDuration", step))
        content = await self._get("summary", query)
        inner = [
            item.get("Value") if isinstance(item, dict) else item for item in items_of(content)
        ]
        return self._samples(readings_in({"Items": inner}))

    async def _get(self, what: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        path = f"streams/{self._web_id}/{what}"
        return await self._api.get(path, query, f"{what} values of {self._tag}")

    def _samples(self, readings: Sequence[Reading]) -> list[Sample]:
        return [r.sample(self._tag) for r in readings]
