"""Where `network.allow` shuts out what the rest of the configuration names.

Such a connection can never come about: said with its place before anything runs. A host that is
named by name may lie in a range that is allowed; that shows when it is resolved, not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gl002.config.load import Connection, GatewayConfig
from gl002.config.problems import Path, Problem, located
from gl002.connector import Connector
from gl002.security.network import Endpoint, Network, Subnet


def shut_out(
    config: GatewayConfig, connectors: Mapping[str, Connector[Any]], network: Network
) -> Iterator[Problem]:
    """A problem for each address of each connection that no rule of `network.allow` lets through.

    Args:
        config: as it was read.
        connectors: made from it, by name.
        network: to which they have named their addresses.
    """
    for named in network.shut_out():
        said = f"{named} is shut out by network.allow"
        yield from _said(config, connectors, named, said, f"add '{named}' to it, if it is meant")


def depends_on_names(
    config: GatewayConfig, connectors: Mapping[str, Connector[Any]], network: Network
) -> Iterator[Problem]:
    """The same for each address of which only its name's resolution tells whether it is let out."""
    for named in network.depends_on_names():
        said = (
            f"network.allow lets {named} through only where the name resolves to an address in it"
        )
        hint = f"add '{named}' to it, or let '--online' try"
        yield from _said(config, connectors, named, said, hint)


def _said(
    config: GatewayConfig,
    connectors: Mapping[str, Connector[Any]],
    named: Endpoint | Subnet,
    said: str,
    hint: str,
) -> Iterator[Problem]:
    for connection, path in _places(config, connectors, named):
        problem = Problem(path, said, hint)
        if config.marks is None:
            yield problem
        else:
            yield located(problem, config.marks, connection.place, type(connection.settings))


def _places(
    config: GatewayConfig, connectors: Mapping[str, Connector[Any]], named: Endpoint | Subnet
) -> Iterator[tuple[Connection, Path]]:
    """The connections that go there, and where below their blocks it stands, () if it does not."""
    text = str(named.hosts) if isinstance(named, Subnet) else named.host
    found = {
        name: next(_holding(text, connection.settings.model_dump(), ()), None)
        for name, connection in config.connections.items()
    }
    theirs = [name for name in found if named in list(connectors[name].endpoints())]
    for name in theirs or [name for name, path in found.items() if path is not None]:
        yield config.connections[name], found[name] or ()


def _holding(text: str, data: Any, path: Path) -> Iterator[Path]:
    """Paths of the texts that hold this one."""
    if isinstance(data, str):
        if text in data.lower():
            yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _holding(text, value, (*path, key))
    elif isinstance(data, list | tuple):
        for i, value in enumerate(data):
            yield from _holding(text, value, (*path, i))
