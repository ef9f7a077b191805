"""ACT: one action makes one document, and whoever asks again learns which."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from gl002.action import Action
from gl002.connector import Capability
from gl002.errors import DataError, GL002Error
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

R = TypeVar("R")

_run = os.urandom(4).hex()
_numbers = itertools.count(1)


def _actions(rig: Rig) -> list[Action]:
    """One new action of each name the rig can do."""
    return [
        Action(key=f"gl002-{_run}-{next(_numbers)}", name=name, fields=fields)
        for name, fields in rig.doable.items()
    ]


async def _within_tries(rig: Rig, request: Awaitable[R]) -> R | None:
    """The answer, or None where the request failed in a way the outbox tries again."""
    failure: GL002Error | None = None
    try:
        return await request
    except GL002Error as error:
        failure = error
    finally:
        rig.link.restore()
    assert failure.retryable, failure
    return None


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


@needs(Capability.ACT, "done")
async def test_an_action_without_its_answer_is_found_or_was_not_done(rig: Rig, make: Maker) -> None:
    for action in _actions(rig):
        connector = make()
        rig.link.drop_replies()
        connector.set_timeout(500)
        assert await _within_tries(rig, connector.perform(action)) is None
        connector = make()
        found = await connector.find(action)
        if found is None:
            found = await connector.perform(action)
        assert rig.done(action.key) == [found.number]


@needs(Capability.ACT, "done")
async def test_an_action_that_is_cut_off_anywhere_is_done_once(rig: Rig, make: Maker) -> None:
    """Cut after so many bytes of replies, from the first to beyond the last."""
    for cut_after in (1, 50, 200, 500, 1000, 2000, 5000):
        for action in _actions(rig):
            connector = make()
            rig.link.cut_after(cut_after)
            receipt = await _within_tries(rig, connector.perform(action))
            if receipt is None:
                connector = make()
                receipt = await connector.find(action) or await connector.perform(action)
            assert rig.done(action.key) == [receipt.number], cut_after


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
