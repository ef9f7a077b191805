"""Google Cloud Pub/Sub over REST: names, limits, messages and refusals as JSON.

Source: the REST reference of Pub/Sub v1 (`projects.topics`, `projects.subscriptions`,
`PubsubMessage`), 'Quotas and limits', and AIP-193 for the form of errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from gl002.errors import ConfigError, ConnectFailed, DataError
from gl002.model import now_ns
from gl002.wire.json_payload import decode, timestamp

MOST_MESSAGES = 1000
"""Messages in one request to publish."""
LARGEST_REQUEST = 10_000_000
"""Bytes of one request; data is base64 in it, which takes a third more."""
LARGEST_MESSAGE = 7_000_000
"""Bytes of data in one message, so that it fits into a request."""
MOST_PULLED = 1000
"""Messages that one pull brings."""
LONGEST_DEADLINE = 600
"""Seconds by which a deadline can be extended at once."""
_MOST_ACKS = 2500  # in one request of 512 KiB; an id has up to about 200 characters
_MOST_ATTRIBUTES, _LONGEST_NAME, _LONGEST_VALUE = 100, 256, 1024
_LONGEST_KEY = 1024
_AROUND = 128  # bytes of a message in JSON beside its own, at most
_ID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_PROJECT = r"[a-z][a-z0-9:.-]{2,61}[a-z0-9]"

PROJECT = f"^{_PROJECT}$"
T = TypeVar("T")
Collection = Literal["topics", "subscriptions"]


class Message(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """A message to publish: data, attributes or both."""

    data: bytes = b""
    attributes: Mapping[str, str] = {}
    ordering_key: str = ""


class _Arrived(Message, frozen=True, kw_only=True):
    message_id: str = ""
    publish_time: str = ""


class Received(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A message that was pulled.

    Attributes:
        ack_id: by which it is acknowledged; another one each time it is delivered.
        message: its content.
        delivery_attempt: how often it was delivered, 0 where the subscription does not count.
    """

    ack_id: str
    message: _Arrived
    delivery_attempt: int = 0

    @property
    def data(self) -> bytes:
        """The content."""
        return self.message.data

    @property
    def attributes(self) -> Mapping[str, str]:
        """Names and values beside the content."""
        return self.message.attributes

    @property
    def id(self) -> str:
        """The service's id, the same each time the message is delivered."""
        return self.message.message_id

    @property
    def time(self) -> int:
        """When it was published, nanoseconds UTC; now where the service does not say."""
        try:
            return timestamp(self.message.publish_time, "iso")
        except DataError:
            return now_ns()

    def json(self) -> Any:
        """The content as JSON.

        Raises:
            DataError: it is none.
        """
        return decode(self.message.data)


class _Messages(msgspec.Struct):
    messages: Sequence[Message]


class _Published(msgspec.Struct, rename="camel"):
    message_ids: list[str] = []


class _Pulled(msgspec.Struct, rename="camel"):
    received_messages: list[Received] = []


class Problem(msgspec.Struct):
    """What the service says when it refuses.

    Attributes:
        status: 'PERMISSION_DENIED' and so on.
        message: for people.
        details: further facts, each of a type of its own.
    """

    status: str = ""
    message: str = ""
    details: list[dict[str, Any]] = []

    @property
    def reason(self) -> str:
        """Of the `ErrorInfo` among the details, 'SERVICE_DISABLED' and so on; '' without one."""
        return next((str(d["reason"]) for d in self.details if "reason" in d), "")


class _Refused(msgspec.Struct):
    error: Problem


def full_name(name: str, collection: Collection, project: str) -> str:
    """'samples' -> 'projects/plant-1/topics/samples'; a full name as it is.

    Raises:
        ConfigError: it can be the name of none.
    """
    prefix = f"projects/{project}/{collection}/"
    given = re.fullmatch(rf"projects/{_PROJECT}/{collection}/(.*)", name)
    short = given[1] if given else name
    if not _ID.fullmatch(short):
        raise ConfigError(
            f"'{name}' is no name of a {collection[:-1]}",
            hint="3 to 255 letters, digits and -_.~+%, first a letter, not beginning with 'goog'",
        )
    return name if given else prefix + short


def checked(message: Message) -> Message:
    """The message, if the service takes it.

    Raises:
        DataError: it is empty, too large, or has attributes or a key that are too long.
    """
    if not message.data and not message.attributes:
        raise DataError("a message has data, attributes or both")
    if len(message.data) > LARGEST_MESSAGE:
        raise DataError(f"{len(message.data)} bytes: a message has at most {LARGEST_MESSAGE}")
    if len(message.attributes) > _MOST_ATTRIBUTES:
        raise DataError(f"{len(message.attributes)} attributes: at most {_MOST_ATTRIBUTES}")
    for name, value in message.attributes.items():
        if not name or len(name.encode()) > _LONGEST_NAME or name.startswith("goog"):
            raise DataError(f"'{name[:40]}' is no name of an attribute")
        if len(value.encode()) > _LONGEST_VALUE:
            raise DataError(f"the attribute '{name}' has more than {_LONGEST_VALUE} bytes")
    if len(message.ordering_key.encode()) > _LONGEST_KEY:
        raise DataError(f"the ordering key has more than {_LONGEST_KEY} bytes")
    return message


def requests(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Messages as the service takes them at once: few enough, small enough, of one ordering key."""
    start = size = 0
    for i, message in enumerate(messages):
        length = _length(message)
        other_key = message.ordering_key != messages[start].ordering_key
        full = i - start >= MOST_MESSAGES or size + length > LARGEST_REQUEST - _AROUND
        if i > start and (other_key or full):
            yield messages[start:i]
            start, size = i, 0
        size += length
    if messages:
        yield messages[start:]


def _length(message: Message) -> int:
    """Bytes of a message in JSON, at most (where no attribute needs escapes)."""
    texts = [*message.attributes, *message.attributes.values(), message.ordering_key]
    return (len(message.data) + 2) // 3 * 4 + sum(len(t.encode()) + 6 for t in texts) + _AROUND


def publish_body(messages: Sequence[Message]) -> bytes:
    """Body of `topics.publish`."""
    return msgspec.json.encode(_Messages(messages))


def published(body: bytes) -> list[str]:
    """Ids in the answer to `topics.publish`.

    Raises:
        ConnectFailed: that is no answer of Pub/Sub.
    """
    return _read(body, _Published).message_ids


def pulled(body: bytes) -> list[Received]:
    """Messages in the answer to `subscriptions.pull`.

    Raises:
        ConnectFailed: that is no answer of Pub/Sub.
    """
    return _read(body, _Pulled).received_messages


def problem_in(body: bytes) -> Problem:
    """What a refusal says; an empty one where it is not of the service's form."""
    try:
        return msgspec.json.decode(body, type=_Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Problem()


def ack_portions(ack_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    """Ids in portions that fit into a request of 512 KiB."""
    return (ack_ids[i : i + _MOST_ACKS] for i in range(0, len(ack_ids), _MOST_ACKS))


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Not the fault of what we sent: asked again, it may well be Pub/Sub that answers.
        raise ConnectFailed(
            f"an answer that is none of Pub/Sub: {error}",
            hint="does something between here and Google, such as a proxy, answer in its stead?",
        ) from None
