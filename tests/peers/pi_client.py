"""The vendor's client library for PI Web API, so that ours is not the only reader of our server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from peers import vendors
from peers.pi_web_api import PASSWORD, USER, PiWebApi

Call = tuple[str, str, Sequence[Any], dict[str, Any]]


def call(api: str, method: str, *arguments: Any, **keywords: Any) -> Call:
    """A call of the client: `call('stream', 'get_value', web_id)`."""
    return api, method, arguments, keywords


def ask(server: PiWebApi, *calls: Call) -> list[Any]:
    """What the vendor's client makes of the server's answers."""
    task = {"url": server.url, "user": USER, "password": PASSWORD, "calls": calls}
    answers: list[Any] = vendors.run("pi_client.py", json.dumps(task))
    return answers
