"""The tags that a stream of messages meets, where no list tells them beforehand."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gl002.model import Tag, TagTable


class MetTags:
    """At most so many; each is declared when it is met first.

    Args:
        source: connector instance that delivers them.
        most: tags; further ones are left out, which is said once.
        table: where they are declared.
        log: of the connector.
    """

    def __init__(self, source: str, most: int, table: TagTable, log: logging.Logger) -> None:
        self._source = source
        self._most = most
        self._table = table
        self._log = log
        self._met: dict[str, Tag] = {}
        self._told = False

    def tags(self) -> Sequence[Tag]:
        """Those met so far."""
        return list(self._met.values())

    def admit(self, name: str, address: str, unit: str = "") -> bool:
        """Whether a tag is delivered.

        Args:
            name: of the tag.
            address: where it comes from, as the other side calls it.
            unit: of its values, where that is known.
        """
        if name in self._met:
            return True
        if len(self._met) >= self._most:
            if not self._told:
                self._log.warning(
                    "%s: more than %d tags: '%s' of '%s' and further ones are left out",
                    self._source, self._most, name, address,
                )  # fmt: skip
            self._told = True
            return False
        self._met[name] = Tag(name=name, source=self._source, address=address, unit=unit)
        self._table.declare(self._met[name])
        return True
