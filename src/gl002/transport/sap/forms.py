"""What the outbox and scripts give for a document, and how it goes into SAP's fields."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from gl002.action import ActionForm
from gl002.errors import ConfigError, DataError

_KEY = re.compile(r"[A-Za-z0-9-]{1,32}\Z")
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_REFERENCE = 20  # characters of an external reference number
_SHORT_TEXT = 40
F = TypeVar("F", bound=ActionForm)
Point = Annotated[str, Field(min_length=1, max_length=20)]


class MeasurementForm(ActionForm):
    """A reading of a measuring point or counter."""

    point: Point = Field(
        description="Number of the measuring point, or its position, such as 'BOILER_001_EFF'."
    )
    value: float = Field(description="The reading, in `unit`.")
    timestamp: datetime = Field(description="When it was read; without offset: local time.")
    unit: str = Field(
        "",
        max_length=6,
        description="Unit as SAP shows it in the language of the log-in; absent: the point's own.",
    )
    text: str = Field("", max_length=40, description="Behind the key in the document's text.")
    reader: str = Field("", max_length=12, description="Who read it.")

    @property
    def number(self) -> str:
        """Of the point with its zeros, '' where it is named by its position."""
        return self.point.zfill(12) if _NUMBER.match(self.point) else ""

    @property
    def own_key(self) -> str:
        """Key of the same reading of the same point, for scripts that give none."""
        said = f"{self.point}|{self.timestamp.isoformat()}|{self.value!r}|{self.unit}"
        return f"gl002-{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    def short_text(self, key: str) -> str:
        """The text of the document: its key first."""
        return f"{key} {self.text}".strip()[:_SHORT_TEXT].rstrip()

    def written(self, point: str) -> str:
        """The reading as SAP takes it as text.

        Args:
            point: decimal point of the user's master record.
        """
        return format(Decimal(repr(self.value)), "f").replace(".", point)


class ObjectForm(ActionForm):
    """What concerns one object of the plant."""

    text: str = Field(min_length=1, max_length=40, description="Short text.")
    equipment: str = Field("", max_length=18, description="Its equipment; or functional_location.")
    functional_location: str = Field("", max_length=30, description="Its functional location.")
    priority: str = Field("", max_length=1, description="As SAP's customising defines them.")

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        if bool(self.equipment) == bool(self.functional_location):
            raise ValueError("name the equipment or the functional location, not both")
        return self

    def marked(self, key: str) -> str:
        """The short text, the key's reference at its end."""
        mark = reference(key)
        return f"{self.text[: _SHORT_TEXT - 1 - len(mark)].rstrip()} {mark}"

    @property
    def equipment_number(self) -> str:
        """With its zeros, as functions take it."""
        return self.equipment.zfill(18) if self.equipment.isdigit() else self.equipment


class WorkOrderForm(ObjectForm):
    """A maintenance order (IW31). Its short text ends with the key."""

    type: str = Field("PM01", pattern=r"^[A-Z0-9]{1,4}$", description="Order type, 'PM01'.")
    planning_plant: str = Field("", max_length=4, description="Absent: that of the object.")
    work_center: str = Field("", max_length=8, description="Main work center.")
    activity_type: str = Field("", max_length=3, description="Maintenance activity type.")
    start: datetime | None = Field(None, description="Basic start.")


class NotificationForm(ObjectForm):
    """A maintenance notification (IW21)."""

    type: str = Field("M1", pattern=r"^[A-Z0-9]{2}$", description="Notification type, 'M2'.")
    long_text: str = Field("", max_length=1200, description="What people should know.")
    breakdown: bool = Field(default=False, description="Whether the object is down.")
    start: datetime | None = Field(None, description="When the malfunction began.")
    reported_by: str = Field("", max_length=12, description="Who reports it.")

    def body(self, key: str) -> str:
        """The long text, with the key in it for people."""
        return f"{self.long_text}\ngl002: {key}".strip()


def checked_key(key: str) -> str:
    """An external key.

    Raises:
        DataError: it is none.
    """
    if _KEY.match(key) is None:
        raise DataError(f"{key!r} is no key", hint="at most 32 letters, digits and '-'")
    return key


def reference(key: str) -> str:
    """A key as an external reference number: 20 characters, which SAP turns into capitals."""
    if len(key) <= _REFERENCE:
        return key.upper()
    digest = hashlib.sha256(key.encode()).digest()
    return f"GL2-{base64.b32encode(digest).decode()[:16]}"


def there(moment: datetime, zone: tzinfo | None) -> datetime:
    """A time on the clocks of SAP; None for those of this machine."""
    return moment.astimezone(zone)


def form_and_key(form: type[F], fields: Mapping[str, Any], name: str) -> tuple[F, str]:
    """A form out of its fields and a key among them, '' where there is none.

    Raises:
        DataError: names the field that does not fit.
    """
    if not isinstance(fields, Mapping):
        raise DataError(f"{name} takes a dict of fields, and this is {fields!r:.60}")
    rest = {field: value for field, value in fields.items() if field != "key"}
    key = fields.get("key")
    return parsed(form, rest, name), checked_key(str(key)) if key is not None else ""


def parsed(form: type[F], fields: Mapping[str, Any], name: str) -> F:
    """A form out of its fields; `name` is the action's.

    Raises:
        DataError: names the field that does not fit.
    """
    try:
        return form.parse(dict(fields), name)
    except ConfigError as error:
        raise DataError(str(error)) from None
