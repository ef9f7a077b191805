"""Secrets: a type that does not show itself, and a log filter as second line of defence."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self
from urllib.parse import quote, quote_plus

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gl002.errors import ConfigError

log = logging.getLogger("gl002.secrets")

_HIDDEN = "***"
_MOST_PASSING = 256
_SHORTEST = 6  # shorter values would redact ordinary words
_OWN_WORDS = frozenset({"password", "passwd", "secret"})
"""Not masked, though somebody may have chosen one: messages without these words help nobody, and
the gap in 'Name or *** is incorrect' would tell the password."""


class Living:
    """Text that was filled in from a secret store and may be another one later.

    Args:
        what: it is, for messages: its place in the configuration.
        make: fills it in anew.

    Attributes:
        renewals: how often any of them has changed.
    """

    renewals: ClassVar[int] = 0

    def __init__(self, what: str, make: Callable[[], str]) -> None:
        self.what = what
        self.parts: weakref.WeakSet[Part] = weakref.WeakSet()
        self.make = make
        self.text = make()

    def renew(self) -> bool:
        """Fill it in anew; whether it has changed. What cannot be filled in stays as it is."""
        try:
            now = self.make()
        except ConfigError:  # a variable or a file beside it is gone
            return False
        before, self.text = self.text, now
        if before == now:
            return False
        Redactor.remember(now)
        Living.renewals += 1
        for part in list(self.parts):
            part.renew(now)
        return True


class Part:
    """What is taken out of a `Living` text: the password in an address. It follows the text.

    Args:
        whole: the text.
        take: takes the part out; a `ValueError` where it is not to be had.
    """

    def __init__(self, whole: Living, take: Callable[[str], str]) -> None:
        self.text = take(whole.text)
        self._whole = whole  # kept up to date as long as a part of it is used
        self._take = take
        whole.parts.add(self)

    def renew(self, whole: str) -> None:
        """Take it out anew; stays as it is where that cannot be done."""
        try:
            self.text = self._take(whole)
        except ValueError as error:
            log.warning("%s: with its new value: %s; the last is used on", self._whole.what, error)
        else:
            Redactor.remember(self.text)


class StoredText(str):  # noqa: SLOT000 (mypy wants the attribute declared)
    """What a `Living` text is now. A `Secret` made of it gives out what it is later."""

    living: Living | Part

    def __new__(cls, living: Living | Part) -> Self:
        """The text as it is now."""
        made = super().__new__(cls, living.text)
        made.living = living
        return made


def part_of(text: str, take: Callable[[str], str]) -> str:
    """What `take` takes out of a text; where that is stored, a `Secret` made of it follows it.

    Args:
        text: a connection string, an address.
        take: pure; raises ValueError, showing nothing of the text, where the part is not there, or
            where what else is in the text has changed, which a new secret alone cannot have done.
    """
    living = text.living if isinstance(text, StoredText) else None
    return StoredText(Part(living, take)) if isinstance(living, Living) else take(text)


class Secret:
    """A password, token or key. Only `reveal` gives it out; nothing else shows, logs or saves it.

    Args:
        value: the secret text; of a secret store, it is what it is there at any time.
        passing: a token that is replaced before long: it is redacted until 256 others have come.
    """

    __slots__ = ("_given",)

    def __init__(self, value: str, *, passing: bool = False) -> None:
        self._given = value.living if isinstance(value, StoredText) else value
        Redactor.remember(value, passing=passing)

    @property
    def _value(self) -> str:
        return self._given if isinstance(self._given, str) else self._given.text

    def reveal(self) -> str:
        """The secret itself. Call it where it is handed to a driver, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, _: str) -> str:
        return _HIDDEN

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash(type(self))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not saved")

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Takes text; errors and dumps do not show it."""
        text = core_schema.no_info_plain_validator_function(_to_secret)
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls, core_schema.str_schema()),
            python_schema=text,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: _HIDDEN),
        )


def _to_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("expected text; a number must be in quotes")


class Redactor(logging.Filter):
    """Replaces every secret met so far in log records, in all the forms of `_forms_of`."""

    _known: ClassVar[set[str]] = set()
    _passing: ClassVar[OrderedDict[str, set[str]]] = OrderedDict()
    _forms: ClassVar[Sequence[str] | None] = None  # None: to be made of what is known
    _turn: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def remember(cls, value: str, *, passing: bool = False) -> None:
        """Redact this value from now on; very short ones, and words such as 'password', are not.

        Args:
            value: the secret.
            passing: it is one of many that follow each other; only the newest are remembered.
        """
        if len(value) < _SHORTEST or value.lower() in _OWN_WORDS:
            return
        if value in cls._known or value in cls._passing:
            return
        forms = _forms_of(value)
        with cls._turn:
            if passing:
                cls._passing[value] = forms
                if len(cls._passing) > _MOST_PASSING:
                    cls._passing.popitem(last=False)
            else:
                cls._known |= forms
            cls._forms = None

    @classmethod
    def _met(cls) -> Sequence[str]:
        """Every form of every secret met so far, longest first.

        Looked for one after the other: one pattern of them all takes seconds to compile once some
        hundred tokens have come, and nothing else runs meanwhile.
        """
        with cls._turn:
            if cls._forms is None:
                everything = cls._known.union(*cls._passing.values())
                cls._forms = sorted(everything, key=len, reverse=True)
            return cls._forms

    @classmethod
    def redact(cls, text: str) -> str:
        """The text with every known secret replaced."""
        for form in cls._met():
            if form in text:
                text = text.replace(form, _HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record in place; never drops it."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 (arguments that do not fit: the handler reports it)
            message = f"{record.msg} {record.args}"
        redacted = self.redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        for field in ("exc_text", "stack_info"):
            if text := getattr(record, field):
                setattr(record, field, self.redact(text))
        return True


def _forms_of(value: str) -> set[str]:
    """A secret as it may stand in a text: in clear or quoted, URL-encoded, in base64.

    In base64 also behind something else, as behind the user in `Authorization: Basic`: what of it
    does not depend on what stands before and after.
    """
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {repr(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value)}
    raw = value.encode()
    for before, start in enumerate((0, 2, 3)):  # characters that depend on the bytes before
        text = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        forms.add(text[start : len(text) - bool((before + len(raw)) % 3)])
    return forms | {base64.b64encode(raw).decode()}
