"""What is done once in a business system: the contract between the outbox and a connector.

A sample may be written twice and no harm is done; a work order may not. So an action has a key of
its own, made from what caused it, and a connector can look whether that key was served before.
The outbox (`gl002.flow.outbox`) owns queueing, approval, retry and audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from gl002.config.settings import Settings
from gl002.errors import ConfigError, DataError

__all__ = ["Action", "ActionForm", "Receipt"]


class ActionForm(Settings):
    """Base of the forms of fields, one for each action a connector offers."""

    @classmethod
    def filled(cls, fields: Mapping[str, Any], name: str) -> Self:
        """The form with these fields.

        Args:
            fields: of an action, or what a script gives.
            name: of the action, for the message.

        Raises:
            DataError: names each field that is wrong, missing or unknown.
        """
        try:
            return cls.parse(fields, name)
        except ConfigError as error:
            raise DataError(str(error.args[0]), hint=error.hint) from None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do, once.

    Attributes:
        key: external key, the same however often the same cause is met: at most 32 letters, digits
            and '-', so that it fits the reference fields of business systems.
        name: which of the connector's `actions`, such as 'create_work_order'.
        fields: what that action takes, in the words of its form; plain JSON values, times as ISO
            8601 text with offset.
    """

    key: str
    name: str
    fields: Mapping[str, Any]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side made of an action.

    Attributes:
        number: of the document or order there, as people there would search for it.
        detail: a phrase for people: what was made, and warnings of the other side.
        already: it was found there, made by an earlier try.
    """

    number: str
    detail: str = ""
    already: bool = False
