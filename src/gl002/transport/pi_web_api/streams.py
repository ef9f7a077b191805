"""Which stream a tag is: its WebID, and what PI knows about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gl002.errors import Busy, ConfigError, GL002Error, TagNotFound, UnitError
from gl002.model import Quality, Tag
from gl002.transport.pi_web_api.api import PIWebAPI, web_id_in
from gl002.units import unit
from gl002.wire import pi_web_id
from gl002.wire.pi_batch import Sub, SubAnswer

_MOST_REMEMBERED = 100_000
DENIED = frozenset({401, 403})
"""Statuses that say that the account has not the right."""
_BAD_USER_ACCESS_DENIED = 0x801F_0000  # OPC 10000-4, 7.39
_ABOUT = (
    "WebId;Name;Path;PointType;Type;EngineeringUnits;DefaultUnitsName;DefaultUnitsNameAbbreviation;"
    "Descriptor;Description"
)


class Unknown(NamedTuple):
    """A tag that cannot be read, and why.

    Attributes:
        quality: of the samples that say so.
        reason: in words.
    """

    quality: int
    reason: str


class About(NamedTuple):
    """What PI knows about a stream.

    Attributes:
        web_id: its WebID.
        type: of its values: 'Float32', 'Digital', 'Double'.
        unit: as PI spells it.
        description: its descriptor.
    """

    web_id: str
    type: str
    unit: str
    description: str

    def tag(self, name: str, source: str, address: str) -> Tag:
        """For the tag table; a unit that we do not know is left out."""
        return Tag(
            name=name,
            unit=_known(self.unit),
            source=source,
            address=address,
            description=self.description,
        )


class Streams:
    """Finds streams, and remembers them.

    Args:
        api: to ask.
    """

    def __init__(self, api: PIWebAPI) -> None:
        self._api = api
        self._found: dict[str, About] = {}

    def forget(self, path: str) -> None:
        """The stream is not there any more, or another one: ask again when it is wanted."""
        self._found.pop(path, None)

    async def gone(self, addresses: Iterable[str]) -> None:
        """As `forget`, for addresses."""
        for address in addresses:
            path = await self._path(address)
            if isinstance(path, str):
                self.forget(path)

    async def web_ids(self, addresses: Sequence[str]) -> list[str | Unknown]:
        """The WebID of each address, in order.

        They are made here, or, where `web_ids` is 'server', asked for once and remembered.
        """
        paths: list[str | Unknown] = [await self._path(address) for address in addresses]
        if self._api.config.web_ids == "client":
            return [_made(path) if isinstance(path, str) else path for path in paths]
        known = await self.about([path for path in paths if isinstance(path, str)])
        found = {path: a if isinstance(a, Unknown) else a.web_id for path, a in known.items()}
        return [found[path] if isinstance(path, str) else path for path in paths]

    async def web_id(self, address: str) -> str:
        """The WebID of one address.

        Raises:
            TagNotFound: there is none.
        """
        (found,) = await self.web_ids([address])
        if isinstance(found, Unknown):
            raise error_of(found, self._api.name)
        return found

    async def about(self, paths: Iterable[str]) -> dict[str, About | Unknown]:
        """What PI knows about each path; asked once, in one batch."""
        wanted = list(dict.fromkeys(paths))
        known: dict[str, About | Unknown] = {  # kept: others may forget one meanwhile
            path: self._found[path] for path in wanted if path in self._found
        }
        missing = [path for path in wanted if path not in known]
        requests = [Sub(_collection(path), [("path", path), ("selectedFields", _ABOUT)])
                    for path in missing]  # fmt: skip
        answers = await self._api.batch(requests, f"find {len(missing)} tags")
        for path, answer in zip(missing, answers, strict=True):
            if answer.ok and isinstance(answer.content, dict):
                known[path] = self._remember(path, _about(answer.content))
            elif answer.passing:
                raise Busy(f"{self._api.name}: find {path}: {answer.words}")
            else:
                known[path] = why(answer, path)
        return {path: known[path] for path in wanted}

    async def about_one(self, address: str) -> About:
        """What PI knows about one address.

        Raises:
            TagNotFound: there is none.
        """
        path = await self._api.path_of(address)
        found = (await self.about([path]))[path]
        if isinstance(found, Unknown):
            raise error_of(found, self._api.name)
        return found

    async def _path(self, address: str) -> str | Unknown:
        try:
            return await self._api.path_of(address)
        except ConfigError as error:
            return Unknown(int(Quality.BAD_CONFIGURATION_ERROR), str(error))

    def _remember(self, path: str, about: About) -> About:
        if len(self._found) >= _MOST_REMEMBERED:
            self._found.clear()
        self._found[path] = about
        return about


def why(answer: SubAnswer, what: str) -> Unknown:
    """The quality of a tag that PI did not give."""
    if answer.missing:
        return Unknown(int(Quality.BAD_NODE_ID_UNKNOWN), f"{what}: {answer.words}")
    if answer.status in DENIED:
        return Unknown(_BAD_USER_ACCESS_DENIED, f"{what}: {answer.words}")
    if answer.passing:
        return Unknown(int(Quality.BAD_NO_COMMUNICATION), f"{what}: {answer.words}")
    return Unknown(int(Quality.BAD), f"{what}: {answer.words}")


def error_of(unknown: Unknown, name: str) -> GL002Error:
    """The error for a caller who wanted this one tag."""
    if unknown.quality == Quality.BAD_NO_COMMUNICATION:
        return Busy(f"{name}: {unknown.reason}")
    return TagNotFound(f"{name}: {unknown.reason}")


def _made(path: str) -> str | Unknown:
    try:
        return pi_web_id.of_path(path)
    except ValueError as error:
        return Unknown(int(Quality.BAD_NODE_ID_UNKNOWN), str(error))


def _collection(path: str) -> str:
    return "attributes" if "|" in path else "points"


def _about(content: dict[str, Any]) -> About:
    def text(*names: str) -> str:
        return next((str(content[name]) for name in names if content.get(name)), "")

    return About(
        web_id_in(content),
        text("PointType", "Type"),
        text("EngineeringUnits", "DefaultUnitsNameAbbreviation", "DefaultUnitsName"),
        text("Descriptor", "Description"),
    )


def _known(name: str) -> str:
    """The unit, '' where the gateway does not know it."""
    try:
        unit(name)
    except UnitError:
        return ""
    return name
