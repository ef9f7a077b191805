"""What is said of a retry leaves the rest as it was."""

from __future__ import annotations

from gl002.config.actions import ActionSettings
from gl002.config.blocks import RetrySettings
from gl002.config.flow import OutputSettings


def test_an_output_with_another_wait_still_tries_for_ever() -> None:
    output = OutputSettings.parse({"destination": "x", "retry_policy": {"first": 2}})
    policy = output.retry_policy.policy()
    assert (policy.max_attempts, policy.first, policy.most) == (None, 2.0, 30.0)
    given = OutputSettings.parse({"destination": "x", "retry_policy": {"max_attempts": 3}})
    assert given.retry_policy.policy().max_attempts == 3


def test_an_action_with_another_wait_still_tries_for_ever_and_patiently() -> None:
    action = ActionSettings.parse(
        {"destination": "x", "action": "y", "on": {"tag": "t", "every": "1h"}, "fields": {},
         "retry_policy": {"most": "1h"}}
    )  # fmt: skip
    policy = action.retry_policy.policy()
    assert (policy.max_attempts, policy.first, policy.most) == (None, 10.0, 3600.0)


def test_a_request_is_tried_three_times() -> None:
    assert RetrySettings.parse({"first": 2}).policy().max_attempts == 3
