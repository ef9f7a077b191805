"""The desired state of a cloud as proposals for writes, and what became of them as reported state.

A value that is desired for a configured point is offered as a proposal, no more; any other desired
value stays a tag. What became of a proposal is told as `proposals.<point>`; when a person has let
it be written, the value itself is reported where it is desired, so that the difference is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from gl002.errors import GL002Error
from gl002.model import Batch, Value
from gl002.proposal import Answer, Proposal, Proposals

__all__ = ["Wishes"]

log = logging.getLogger("gl002.wishes")

_AGAIN: Final = 30.0  # seconds until an answer that did not get through is told again
_TRIES: Final = 10

Report = Callable[[Mapping[str, Any]], Awaitable[object]]


class Wishes:
    """Offers what is desired, and reports.

    Args:
        name: of the connection.
        proposals: where to offer.
        prefix: of the tags of the desired state; what follows is its path, and names the point.
        asker: who wishes, for the audit file: 'shadow of boiler1'.
        report: adds to the reported state; may raise.
    """

    def __init__(
        self, name: str, proposals: Proposals, prefix: str, asker: str, report: Report
    ) -> None:
        self._name = name
        self._proposals = proposals
        self._prefix = prefix
        self._asker = asker
        self._report = report
        self._following: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, tuple[Answer, Value]] = {}

    async def take(self, batch: Batch) -> None:
        """Offer what the batch desires; each proposal is on disk when it returns.

        Raises:
            GL002Error: it could not be kept: the message must come again.
        """
        points = self._proposals.points(self._name)
        wished = {s.tag.removeprefix(self._prefix): s.value for s in batch} if points else {}
        for point in points & wished.keys():
            proposal = Proposal(
                id="", point=point, value=wished[point], origin=self._name, asker=self._asker
            )
            answer = await self._proposals.offer(proposal)
            await self._follow_no_more(point)
            self._following[point] = asyncio.create_task(
                self._follow(proposal, answer), name=f"gl002-{self._name}-wish"
            )

    async def close(self) -> None:
        """Follow nothing any more; what was decided meanwhile is told after the next start."""
        for point in list(self._following):
            await self._follow_no_more(point)

    async def _follow_no_more(self, point: str) -> None:
        task = self._following.pop(point, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _follow(self, proposal: Proposal, answer: Answer) -> None:
        """Tell what becomes of a proposal until it has its last state."""
        await self._tell(proposal, answer)
        if not answer.final:
            try:
                await self._tell(proposal, await self._proposals.outcome(proposal))
            except GL002Error as error:
                log.warning("%s: %s: %s", self._name, proposal.point, error)

    async def _tell(self, proposal: Proposal, answer: Answer) -> None:
        """Report an answer, once, and again where that fails."""
        if self._told.get(proposal.point) == (answer, proposal.value):
            return  # reporting makes some clouds tell the desired state again
        said = {"state": answer.state, "reason": answer.reason, "value": proposal.value}
        document = {"proposals": _nested(proposal.point, said)}
        if answer.state == "written":
            document |= _nested(proposal.point, proposal.value)
        for tries in range(1, _TRIES + 1):
            try:
                await self._report(document)
            except GL002Error as error:
                log.log(
                    logging.WARNING if tries == 1 else logging.DEBUG,
                    "%s: what became of %s could not be told: %s",
                    self._name, proposal.point, error,
                )  # fmt: skip
                await asyncio.sleep(_AGAIN)
            else:
                self._told[proposal.point] = (answer, proposal.value)
                return


def _nested(path: str, value: object) -> dict[str, Any]:
    """'b1.o2' and a value as {'b1': {'o2': value}}."""
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value
