"""A connector that only acts, and its rig: what the outbox is tested with. Kind 'order_desk'.

`register` makes it known in this process; `SABOTAGE` holds ways to spoil it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field

from gl002 import registry
from gl002.action import Action, ActionForm, Receipt
from gl002.bridge import Blocking, blocking, plain
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import DataError, GL002Error
from gl002.pool import ConnectionPool
from gl002.security.secrets import Secret
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.settings import URL, HTTPSettings
from peers.order_desk import OrderDesk

_REFUSED = 422


class DeskConfig(HTTPSettings):
    """Settings."""

    url: URL = Field(description="Address.")
    token: Secret = Field(Secret("desk-token"), description="Who we are.")

    @property
    def base_url(self) -> str:
        """As configured."""
        return self.url


class OrderForm(ActionForm):
    """A work order."""

    asset: str = Field(min_length=1, description="What it is about.")
    text: str = Field(min_length=1, max_length=40, description="What to do.")
    priority: int = Field(3, ge=1, le=5, description="1 is the most urgent.")


class ReadingForm(ActionForm):
    """A reading."""

    point: str = Field(min_length=1, description="Where.")
    value: float = Field(description="How much.")
    unit: str = Field("", description="Of the value.")
    time: str = Field(description="When, ISO 8601.")


class AsyncDeskConnector(HTTPConnection[DeskConfig]):
    """Makes orders and readings."""

    kind: ClassVar = "order_desk"
    can: ClassVar = Capability.ACT
    Config: ClassVar = DeskConfig
    actions: ClassVar = {"create_order": OrderForm, "create_reading": ReadingForm}

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.config.token.reveal()}"}

    async def _greet(self) -> None:
        await self._send(Request("GET", "documents?reference=none"), what="greet")

    async def _ping(self) -> str:
        await self._greet()
        return "the order desk"

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        if answer.status == _REFUSED:
            return DataError(f"{what}: {answer.json()['error']}")
        return super()._refusal(answer, what)

    def _document(self, action: Action) -> Request:
        fields = self.actions[action.name].parse(action.fields, action.name).model_dump()
        path = "orders" if action.name == "create_order" else "readings"
        body = json.dumps({"reference": action.key, **fields}).encode()
        return Request("POST", path, body=body)

    async def rehearse(self, action: Action) -> str:
        """What would be posted."""
        request = self._checked(action)
        return f"POST {request.path} {request.body.decode()}"

    def _checked(self, action: Action) -> Request:
        try:
            return self._document(action)
        except GL002Error as error:
            raise DataError(str(error)) from None

    async def find(self, action: Action) -> Receipt | None:
        """Asked by reference."""
        request = Request("GET", "documents", query={"reference": action.key})
        found = (await self._ask(request, what=f"find {action.key}")).json(list[dict[str, Any]])
        return Receipt(number=found[0]["number"], already=True) if found else None

    async def perform(self, action: Action) -> Receipt:
        """Posted once."""
        request = self._checked(action)
        answer = await self._ask(request, what=action.name, repeatable=False)
        return Receipt(number=answer.json(dict[str, str])["number"], detail="made")


class DeskConnector(Blocking[AsyncDeskConnector]):
    """The other colour."""

    def __init__(
        self,
        config: Any,
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncDeskConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncDeskConnector.connect)
    close = blocking(AsyncDeskConnector.close)
    check = blocking(AsyncDeskConnector.check)
    rehearse = blocking(AsyncDeskConnector.rehearse)
    find = blocking(AsyncDeskConnector.find)
    perform = blocking(AsyncDeskConnector.perform)
    set_timeout = plain(AsyncDeskConnector.set_timeout)
    try_at_once = plain(AsyncDeskConnector.try_at_once)


class DeskRig(Rig):
    """The desk behind a link."""

    kind: ClassVar[str] = "order_desk"
    gaps: ClassVar = {"test_its_extra_is_spelled_like_its_kind": "made for a test"}
    doable: ClassVar = {
        "create_order": {"asset": "BOILER-001", "text": "Blow soot", "priority": 2},
        "create_reading": {
            "point": "EFF_1", "value": 84.2, "unit": "%", "time": "2026-11-26T12:00:00+00:00",
        },
    }  # fmt: skip
    bad_configs: ClassVar = [({}, "url"), ({"url": "ftp://desk"}, "url")]

    def __init__(self) -> None:
        self._desk = OrderDesk()

    def start(self) -> None:
        self._desk.__enter__()
        self.link = Link(self._desk.port)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self._desk.__exit__()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{self.link.port}", **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(token="canary-of-the-desk")

    def done(self, key: str) -> list[str]:
        return self._desk.with_key(key)

    def undoable(self) -> dict[str, dict[str, Any]]:
        return {"create_order": {"asset": "BOILER-999", "text": "Blow soot"}}


# ---- how to spoil it --------------------------------------------------------------------------


def _repeats_by_itself() -> None:
    async def spoiled(self: Any, action: Action) -> Receipt:
        answer = None
        for _ in range(2):
            try:
                request = self._checked(action)
                answer = await self._ask(request, what=action.name, repeatable=False)
                break
            except (ConnectionError, TimeoutError):
                continue
        else:
            await self._ask(self._checked(action), what=action.name, repeatable=False)
        assert answer is not None
        return Receipt(number=answer.json(dict[str, str])["number"])

    AsyncDeskConnector.perform = spoiled  # type: ignore[method-assign]


def _finds_nothing() -> None:
    async def spoiled(self: Any, action: Action) -> None:
        return None

    AsyncDeskConnector.find = spoiled  # type: ignore[method-assign]


def _makes_it_in_the_rehearsal() -> None:
    async def spoiled(self: Any, action: Action) -> str:
        self._checked(action)
        return str(await self.perform(action))

    AsyncDeskConnector.rehearse = spoiled  # type: ignore[method-assign]


def _loses_the_key() -> None:
    made = AsyncDeskConnector._document

    def spoiled(self: Any, action: Action) -> Request:
        return made(self, Action(key="gl002", name=action.name, fields=action.fields))

    AsyncDeskConnector._document = spoiled  # type: ignore[method-assign]


def _takes_any_field() -> None:
    for form in (OrderForm, ReadingForm):
        form.model_config["extra"] = "ignore"
        form.model_rebuild(force=True)


def _takes_a_refusal_for_an_outage() -> None:
    AsyncDeskConnector._refusal = HTTPConnection._refusal  # type: ignore[method-assign]


def _forgets_an_action() -> None:
    AsyncDeskConnector.actions = {"create_order": OrderForm}  # type: ignore[misc]


def _takes_a_lost_answer_for_a_refusal() -> None:
    performed = AsyncDeskConnector.perform

    async def spoiled(self: Any, action: Action) -> Receipt:
        try:
            return await performed(self, action)
        except (ConnectionError, TimeoutError) as error:
            raise DataError(str(error)) from None

    AsyncDeskConnector.perform = spoiled  # type: ignore[method-assign]


SABOTAGE: dict[str, tuple[Callable[[], None], str]] = {
    "repeats by itself": (
        _repeats_by_itself, "test_an_action_that_is_cut_off_anywhere_is_done_once",
    ),
    "finds nothing": (
        _finds_nothing, "test_an_action_without_its_answer_is_found_or_was_not_done",
    ),
    "makes it in the rehearsal": (
        _makes_it_in_the_rehearsal,
        "test_a_rehearsal_says_what_would_be_sent_and_changes_nothing",
    ),
    "loses the key": (
        _loses_the_key, "test_an_action_makes_one_document_that_is_found_by_its_key",
    ),
    "takes any field": (
        _takes_any_field, "test_a_field_that_no_such_action_has_is_refused_by_name",
    ),
    "takes a refusal for an outage": (
        _takes_a_refusal_for_an_outage, "test_what_the_other_side_refuses_is_not_tried_again",
    ),
    "forgets an action": (
        _forgets_an_action, "test_every_action_the_connector_offers_can_be_done_here",
    ),
    "takes a lost answer for a refusal": (
        _takes_a_lost_answer_for_a_refusal,
        "test_an_action_without_its_answer_is_found_or_was_not_done",
    ),
}  # fmt: skip
"""What one can do wrong -> how, and the test of the suite that must notice."""


def register() -> None:
    """Make the connector known, in this process."""
    sys.modules["gl002.integrations.order_desk"] = sys.modules[__name__]
    registry._KINDS["order_desk"] = registry.Entry(
        module="order_desk", twin="AsyncDeskConnector", face="DeskConnector", driver="",
        schemes=(), summary="orders and readings, for tests",
    )  # fmt: skip
