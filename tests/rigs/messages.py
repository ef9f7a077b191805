"""Samples that arrived as messages, as a consumer has them that drops ids it knows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from gl002.model import Quality, Sample, to_ns

_QUALITIES = {code.name.title().replace("_", ""): int(code) for code in Quality}


def samples_in(payloads: Iterable[str | bytes]) -> list[Sample]:
    """The samples of messages that hold one or several."""
    contents = [json.loads(payload) for payload in payloads]
    by_id = {content["id"]: content for content in contents}
    return [
        Sample(
            content["tag"], content["value"],
            to_ns(datetime.fromisoformat(content["time"])), _QUALITIES[content["quality"]],
        )
        for message in by_id.values()
        for content in message.get("samples", [message])
    ]  # fmt: skip
