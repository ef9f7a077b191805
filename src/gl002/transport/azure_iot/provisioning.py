"""Asks the device provisioning service which hub a device belongs to."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable

from gl002.errors import ConnectFailed
from gl002.security.network import Network
from gl002.transport.azure_iot.settings import AzureIoTConfig
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.route import Route
from gl002.transport.mqtt.session import MQTTSession
from gl002.wire import azure_dps as wire
from gl002.wire.azure_iot import signature
from gl002.wire.json_payload import encode

log = logging.getLogger("gl002.azure")

_LIFETIME = 600  # seconds; the token is used once
_MOST_ANSWERS = 10


async def assigned(
    config: AzureIoTConfig, network: Network, options: Callable[..., SessionOptions], limit: float
) -> wire.Answer:
    """Register the device; the hub and the name it was given. The caller limits the time.

    Args:
        config: with a block `provisioning`.
        network: to dial through.
        options: makes the options of a session from those that differ.
        limit: seconds for one step.

    Raises:
        AuthFailed: the service does not let this device in.
        ConnectFailed: it cannot be reached, or cannot do it now.
    """
    how = config.provisioning
    assert how is not None
    key, token = config.key, None
    if key is not None:
        resource = wire.resource(how.id_scope, how.registration_id)
        expires = math.ceil(time.time()) + _LIFETIME
        token = signature(resource, key, expires=expires, policy="registration")
    inbox = Inbox(log)
    route = Route(inbox, [f"{wire.RESULTS}#"], _MOST_ANSWERS)
    inbox.add(route)
    session = await MQTTSession.open(
        options(
            endpoint=how.address,
            client_id=how.registration_id,
            username=wire.username(how.id_scope, how.registration_id),
            password=token,
            clean_start=True,
        ),
        network,
        inbox,
        timeout=limit,
    )
    try:
        await session.subscribe(route.filters, qos=1, patience=limit)
        return await _registered(session, route, how.registration_id)
    finally:
        await session.close()


async def _registered(session: MQTTSession, route: Route, registration: str) -> wire.Answer:
    request = secrets.token_hex(8)
    topic = wire.register_topic(request)
    payload = encode({"registrationId": registration})
    while True:
        await session.publish(topic, payload, qos=1)
        answer = await _answer(route, request)
        if answer.hub:
            return answer
        if not answer.operation:
            raise ConnectFailed("the provisioning service does not say which operation to wait for")
        await asyncio.sleep(answer.wait)
        request = secrets.token_hex(8)
        topic, payload = wire.status_topic(request, answer.operation), b""


async def _answer(route: Route, request: str) -> wire.Answer:
    while True:
        messages = list(await route.take())
        route.all_done()
        for message in messages:
            answer = wire.answer_of(message.topic, message.payload)
            if answer.request == request:
                return answer
