"""The limits of a site hold for its history, too: baselines and advice come from it."""

from __future__ import annotations

import numpy as np

from gl002.boiler.live import Boiler
from gl002.boiler.record import Record, resting
from gl002.boiler.steadiness import Limits


def swinging(share: float, minutes: int = 60) -> Record:
    """Steam that swings by so much about its mean every other minute."""
    steam = 14.0 * (1 + share * np.where(np.arange(minutes) % 2, 1.0, -1.0))
    roles = {"steam_flow": steam, "oxygen": np.full(minutes, 3.0)}
    return Record(start=0, step=60.0, roles=roles, doubted={})


def boiler(limits: Limits) -> Boiler:
    return Boiler(name="b", basis="wet", steady=limits)


def test_wider_limits_find_more_of_the_history_at_rest():
    record = swinging(0.05)
    assert not resting(record, boiler(Limits())).any()
    assert resting(record, boiler(Limits(load=0.1)))[10:].all()


def test_a_longer_window_must_be_quiet_for_longer():
    record = swinging(0.0)
    assert resting(record, boiler(Limits(window=600))).sum() == 51
    assert resting(record, boiler(Limits(window=1800))).sum() == 31
