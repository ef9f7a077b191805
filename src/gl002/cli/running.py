"""How commands find a gateway, running or not: its state folder, and its local API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from gl002.cli.output import say
from gl002.cli.target import DEFAULT_FILE
from gl002.context import default_state_dir
from gl002.errors import AuthFailed, ConfigError, ConnectFailed, GL002Error

_TIMEOUT = 10.0
_LONGEST_REFUSAL = 10_000  # bytes


def state_dir_of(config: str, *, even_if_wrong: bool = False) -> Path:
    """The state folder that a configuration means; the default one where there is no file.

    Args:
        config: the file.
        even_if_wrong: its other parts may be wrong: it is being changed, and the gateway runs on
            with what it has read before.
    """
    if config == DEFAULT_FILE and not Path(config).exists():
        return default_state_dir()
    from gl002.config.load import load
    from gl002.config.problems import InvalidConfig

    try:
        return load(config).state_dir
    except InvalidConfig:
        found = _written_state_dir(Path(config)) if even_if_wrong else None
        if found is None:
            raise
        say(f"{config} is wrong as it is now: gl002 check {config}")
        return found


def _written_state_dir(file: Path) -> Path | None:
    """The state folder that a file names whose other parts are wrong; None where it is unclear."""
    from gl002.config.load import GatewayConfig, Sections
    from gl002.config.yaml import Document

    try:
        data: Any = Document(file.read_text(encoding="utf-8"), str(file)).data
        given = (data.get("gateway") or {}).get("state_dir")
        sections = Sections.model_validate({"gateway": {"state_dir": given}})
    except (OSError, ValueError, AttributeError):
        return None
    if given is not None and "${" in given:
        return None  # a reference
    return GatewayConfig(file, sections).state_dir


class Running:
    """The local API of the gateway that runs on a state folder.

    Attributes:
        pid: its process.

    Raises:
        ConnectFailed: none runs there.
    """

    def __init__(self, state_dir: Path) -> None:
        from gl002.web.access import read_access

        access = read_access(state_dir)
        self.pid = access.pid
        self._address = urlsplit(access.url)
        self._headers = {"Authorization": f"Bearer {access.token}"}

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer to a GET."""
        with self._asked(path, query) as answer:
            return json.loads(answer.read())

    def events(self, path: str, **query: Any) -> Iterator[tuple[str, Any]]:
        """Server-sent events: name and JSON data, until the gateway ends."""
        with self._asked(path, query) as answer:
            name, data = "message", ""
            while line := answer.readline().decode():
                field, _, text = line.rstrip("\r\n").partition(": ")
                if field == "event":
                    name = text
                elif field == "data":
                    data += text
                elif not field and data:
                    yield name, json.loads(data)
                    name, data = "message", ""

    @contextmanager
    def _asked(self, path: str, query: dict[str, Any]) -> Iterator[HTTPResponse]:
        given = {key: value for key, value in query.items() if value}
        host, port = self._address.hostname or "", self._address.port
        connection = HTTPConnection(host, port, timeout=_TIMEOUT)
        try:
            connection.request(
                "GET", f"{path}?{urlencode(given, doseq=True)}", headers=self._headers
            )
            answer = connection.getresponse()
            if answer.status != 200:  # noqa: PLR2004
                raise _refusal(answer.status, answer.read(_LONGEST_REFUSAL))
            yield answer
        except GL002Error:
            raise
        except (OSError, HTTPException) as error:
            raise ConnectFailed(
                f"{host}:{port}: {error}", hint="does the gateway still run?"
            ) from None
        finally:
            connection.close()


def _refusal(status: int, body: bytes) -> GL002Error:
    """What the gateway says to a request that it does not answer, in its own words."""
    if status in {401, 403}:
        return AuthFailed("the gateway refuses our token", hint="was it started by another user?")
    try:
        said = json.loads(body)
        error, hint = str(said["error"]), str(said["hint"])
    except (ValueError, KeyError, TypeError):
        return ConnectFailed(f"the gateway answers {status}", hint="what does its log say?")
    return ConfigError(error, hint=hint)
