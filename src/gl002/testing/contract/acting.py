"""ACT: one action makes one document, and whoever asks again learns which."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from gl002.action import Action, Receipt
from gl002.connector import Capability, Connector
from gl002.errors import DataError, GL002Error
from gl002.testing.contract.requests import SOON
from gl002.testing.link import Link
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_GLANCE: Final = 0.01  # seconds between two looks at the link
_run = os.urandom(4).hex()
_numbers = itertools.count(1)


def _actions(rig: Rig) -> list[Action]:
    """One new action of each name the rig can do."""
    return [
        Action(key=f"gl002-{_run}-{next(_numbers)}", name=name, fields=fields)
        for name, fields in rig.doable.items()
    ]


async def _tried(
    connector: Connector[Any], action: Action, mend: Callable[[], Awaitable[None]]
) -> Receipt | None:
    """What one try gives, or None where it failed in a way the outbox tries again.

    The link is mended while the try is under way, so that a connector that repeats it by itself
    gets through, and is found out by its second document.
    """
    mending = asyncio.ensure_future(mend())
    try:
        async with asyncio.timeout(SOON):
            return await connector.perform(action)
    except GL002Error as error:
        failure = error
    finally:
        mending.cancel()
        await asyncio.wait([mending])
    assert failure.retryable, failure
    return None


async def _until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; not for ever."""
    for _ in range(int(SOON / _GLANCE)):
        if holds():
            return
        await asyncio.sleep(_GLANCE)


async def _found_or_done(make: Maker, action: Action) -> Receipt:
    """What the outbox does after a try whose outcome it does not know."""
    connector = make()
    return await connector.find(action) or await connector.perform(action)


@needs(Capability.ACT, "done")
async def test_every_action_the_connector_offers_can_be_done_here(rig: Rig, make: Maker) -> None:
    assert set(rig.doable) == set(type(make()).actions)


@needs(Capability.ACT, "done")
async def test_an_action_makes_one_document_that_is_found_by_its_key(rig: Rig, make: Maker) -> None:
    connector = make()
    for action in _actions(rig):
        assert await connector.find(action) is None
        receipt = await connector.perform(action)
        assert rig.done(action.key) == [receipt.number]
        found = await connector.find(action)
        assert found is not None
        assert (found.number, found.already) == (receipt.number, True)


@needs(Capability.ACT, "done", "network")
async def test_an_action_without_its_answer_is_found_or_was_not_done(rig: Rig, make: Maker) -> None:
    link = rig.link
    assert isinstance(link, Link)
    for action in _actions(rig):
        connector = make(patient=True)
        await connector.connect()  # so that it is the answer to the action that is lost
        lost = link.lost_reply_bytes

        async def mend(lost: int = lost) -> None:
            await _until(lambda: link.lost_reply_bytes > lost)  # now it has done what it was asked
            rig.link.restore()

        rig.link.drop_replies()
        receipt = await _tried(connector, action, mend)
        rig.link.restore()
        if receipt is None:
            receipt = await _found_or_done(make, action)
        assert rig.done(action.key) == [receipt.number]


@needs(Capability.ACT, "done", "network")
async def test_an_action_that_is_cut_off_anywhere_is_done_once(rig: Rig, make: Maker) -> None:
    """Cut after so many bytes of replies, from the first to beyond the last."""

    async def mend() -> None:
        await _until(lambda: not rig.link.open)
        rig.link.restore()

    for cut_after in (1, 50, 200, 500, 1000, 2000, 5000):
        for action in _actions(rig):
            connector = make(patient=True)
            await connector.connect()
            rig.link.cut_after(cut_after)
            receipt = await _tried(connector, action, mend)
            rig.link.restore()
            if receipt is None:
                receipt = await _found_or_done(make, action)
            assert rig.done(action.key) == [receipt.number], cut_after
            await connector.close()


@needs(Capability.ACT, "done")
async def test_a_rehearsal_says_what_would_be_sent_and_changes_nothing(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    for action in _actions(rig):
        text = await connector.rehearse(action)
        assert len(text) > len(action.name)
        assert await connector.find(action) is None
        assert rig.done(action.key) == []


@needs(Capability.ACT, "undoable")
async def test_what_the_other_side_refuses_is_not_tried_again(rig: Rig, make: Maker) -> None:
    connector = make()
    for name, fields in rig.undoable().items():
        action = Action(key=f"gl002-{_run}-{next(_numbers)}", name=name, fields=fields)
        with pytest.raises(DataError) as caught:
            await connector.perform(action)
        assert not caught.value.retryable
        assert rig.done(action.key) == []


@needs(Capability.ACT, "done")
async def test_a_field_that_no_such_action_has_is_refused_by_name(rig: Rig, make: Maker) -> None:
    connector = make()
    for action in _actions(rig):
        wrong = Action(key=action.key, name=action.name, fields={**action.fields, "colour": "red"})
        for request in (connector.rehearse, connector.perform):
            with pytest.raises(DataError, match="colour"):
                await request(wrong)
        assert rig.done(action.key) == []
