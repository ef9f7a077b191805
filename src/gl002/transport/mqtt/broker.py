"""A session with a broker that the configuration describes: addresses, TLS, will, Sparkplug."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gl002.config.blocks import TlsSettings
from gl002.connector import Health
from gl002.context import Context
from gl002.pool import ConnectionPool
from gl002.security.certificates import load_certificates, notes_on
from gl002.security.folders import make_private
from gl002.security.network import Endpoint
from gl002.transport.mqtt.connection import MQTTConnection
from gl002.transport.mqtt.jwt import REFUSED
from gl002.transport.mqtt.options import WHEN_REFUSED, SessionOptions, Version, Will
from gl002.transport.mqtt.session import MQTTSession
from gl002.transport.mqtt.settings import MQTTConfig
from gl002.transport.mqtt.sparkplug import SparkplugEdge, SparkplugHost
from gl002.wire.mqtt_payload import payload_of
from gl002.wire.sparkplug_edge import EdgeNode


class MQTTBrokerConnection(MQTTConnection[MQTTConfig]):
    """What `MQTTConnector` makes its calls over."""

    def __init__(
        self,
        config: MQTTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self.remembered = self.config.receive_maximum
        self._random_id = f"gl002{secrets.token_hex(8)}"
        self._warned = False
        spec = self.config.sparkplug
        self._edge: SparkplugEdge | None = None
        if spec is not None and spec.node:
            self._edge = SparkplugEdge(
                EdgeNode(
                    spec.group, spec.node, self.context.tags, types_in_data=spec.types_in_data
                ),
                name=self.name,
                counter=self.context.state_dir / "mqtt" / f"{self.name}.bdseq",
                primary_host=spec.primary_host,
                proposals=self.context.proposals,
                elsewhere=self._try_the_next if self._brokers > 1 else None,
            )
        self._host = SparkplugHost(spec.host) if spec is not None and spec.host else None

    # ---- where, and as whom -----------------------------------------------------------------

    def endpoints(self) -> Iterable[Endpoint]:
        """The brokers."""
        return tuple(broker.endpoint for broker in self.config.brokers)

    @property
    def _brokers(self) -> int:
        return len(self.config.brokers)

    def _load(self) -> None:
        self._load_drivers(websocket=any(broker.path for broker in self.config.brokers))

    def _try_the_next(self) -> None:
        """The next connection is to be with the broker behind this one."""
        self._first = (self._at + 1) % self._brokers

    def _versions(self) -> Sequence[Version]:
        return self.config.versions

    @property
    def _kept(self) -> bool:
        if self.config.sparkplug is not None:
            return False
        clean = self.config.clean_start
        return self._has_input if clean is None else not clean

    @property
    def _tls(self) -> TlsSettings | None:
        return self.config.secure

    def _options(self, version: Version) -> SessionOptions:
        config, tls, broker = self.config, self.config.secure, self.config.brokers[self._at]
        jwt = config.jwt
        if tls is None and (config.password is not None or jwt is not None):
            self._warn_of_plain_password(broker.endpoint)
        # Sparkplug: a clean session always (section 3.6, Persistent vs Non-Persistent Connections)
        clean, expiry = (True, 0) if config.sparkplug is not None else self._session_life(
            version, config.session_expiry, clean=bool(config.clean_start)
        )  # fmt: skip
        return SessionOptions(
            endpoint=broker.endpoint,
            broker=str(broker.endpoint) if self._brokers > 1 else "",
            client_id=self._client_id(),
            version=version,
            username=config.username or ("unused" if jwt is not None else ""),
            password=config.password if jwt is None else jwt.token(),
            account=config.password is not None and jwt is None,
            renew_after=None if jwt is None else jwt.renew_after,
            when_refused=WHEN_REFUSED if jwt is None else REFUSED,
            tls=self._trust(),
            server_name=(tls.server_name if tls is not None else None) or broker.endpoint.host,
            path=broker.path,
            keepalive=config.keepalive,
            clean_start=clean,
            session_expiry=expiry,
            receive_maximum=config.receive_maximum,
            will=self._will,
            will_at_goodbye=self._edge is not None,
        )

    def _client_id(self) -> str:
        """The configured name; else a random one, kept on disk where the session is to be kept."""
        if self.config.client_id or not self._kept:
            return self.config.client_id or self._random_id
        folder = self.context.state_dir / "mqtt"
        make_private(folder)
        file = folder / f"{self.name}.client_id"
        with suppress(FileExistsError):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as new:
                new.write(self._random_id)
        return file.read_text().strip() or self._random_id

    def _warn_of_plain_password(self, broker: Endpoint) -> None:
        """Once, and not about a broker on this machine."""
        local = broker.host in {"localhost", "::1"} or broker.host.startswith("127.")
        if not local and not self._warned:
            self.log.warning("%s: the password goes to %s in clear: use TLS", self.name, broker)
        self._warned = True

    # ---- the first and the last word --------------------------------------------------------

    @property
    def _will(self) -> Callable[[], Will] | None:
        speaker = self._edge or self._host
        if speaker is not None:
            return speaker.will
        will = self.config.will
        return partial(self._word, will.payload) if will is not None else None

    def _word(self, content: object) -> Will:
        """Something to be said under the topic of the will."""
        will = self.config.will
        assert will is not None
        topic = will.topic_for(self.context.name)
        return Will(topic=topic, payload=payload_of(content), qos=will.qos, retain=will.retain)

    async def _introduce(self, session: MQTTSession) -> None:
        will = self.config.will
        if self._edge is not None:
            await self._edge.introduce(session, self._inbox)
        elif self._host is not None:
            await self._host.introduce(session, self._inbox)
        elif will is not None and will.online is not None:
            await _say(session, self._word(will.online))
        if self._present:
            self._stay_connected()

    @property
    def _present(self) -> bool:
        """Whether others are told of our presence, so that it must not depend on our traffic."""
        speaks = self._edge is not None or self._host is not None
        return speaks or (self.config.will is not None and self.config.will.online is not None)

    @property
    def idle(self) -> bool:
        """Whether nobody publishes, nobody listens, and nobody watches whether we are there."""
        return super().idle and not self._present

    async def _take_leave(self, session: MQTTSession) -> None:
        will = self.config.will
        speaker = self._edge or self._host
        if speaker is not None:
            await speaker.take_leave(session)
        elif will is not None and will.online is not None:
            await _say(session, self._word(will.payload))

    async def close(self) -> None:
        """Close the session and end all subscriptions; safe at any time; never raises."""
        await super().close()
        speaker = self._edge or self._host
        if speaker is not None:
            await speaker.close(self._inbox)

    async def _leave(self, filters: Sequence[str]) -> None:
        if self._host is not None:
            self._host.listen_no_more(set(filters) - self._inbox.filters)
        await super()._leave(filters)

    # ---- health -----------------------------------------------------------------------------

    async def check(self) -> Health:
        """One cheap round trip; notes on certificates that end soon, and on less QoS than asked."""
        health = await super().check()
        notes = await asyncio.to_thread(self._notes)
        return msgspec.structs.replace(health, notes=(*notes, *self._grants))

    def _notes(self) -> tuple[str, ...]:
        tls, session, found = self.config.secure, self._session, {}
        with suppress(OSError, ValueError, ModuleNotFoundError):  # what is wrong is in the detail
            if tls is not None and tls.cert is not None:
                found["our"] = load_certificates(Path(tls.cert).read_bytes())[0]
        with suppress(ValueError, ModuleNotFoundError):
            if session is not None and session.certificate is not None:
                found["the broker's"] = load_certificates(session.certificate)[0]
        return notes_on(found)


async def _say(session: MQTTSession, word: Will) -> None:
    await session.publish(word.topic, word.payload, qos=word.qos, retain=word.retain)
