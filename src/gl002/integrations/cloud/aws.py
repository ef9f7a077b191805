"""AWS IoT Core: publish, subscribe, device shadows, over MQTT 5 with a device certificate.

    from gl002.integrations.cloud import AWSIoTConnector

    aws = AWSIoTConnector({
        "endpoint": "xxxxx-ats.iot.us-west-2.amazonaws.com", "client_id": "boiler1",
        "cert_path": "/certs/device.pem.crt", "key_path": "/certs/private.pem.key",
    })
    await aws.update_shadow({"state": {"reported": {"efficiency": 85.4}}})

An update of a shadow returns when the shadow service has accepted it, or raises why it has not.
What the cloud wishes arrives as a delta or as tags; nothing is written to a plant because of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from gl002.bridge import Blocking, blocking, on_callback_thread, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import ConfigError, DataError, GL002Error, RequestFailed
from gl002.pool import ConnectionPool
from gl002.proposal import PROPOSE, Proposal
from gl002.transport.aws_iot.connection import AWSIoTConnection
from gl002.transport.aws_iot.settings import AWSIoTConfig, AWSIoTInput, AWSIoTOutput
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.sink import MQTTSink
from gl002.transport.mqtt.source import MQTTSource
from gl002.transport.mqtt.wishes import Wishes
from gl002.wire.aws_iot import (
    LARGEST_MESSAGE,
    LARGEST_SHADOW,
    MOST_FILTERS,
    Delta,
    check_shadow,
    check_topic,
    read_delta,
    shadow_topic,
    thing_of,
)
from gl002.wire.aws_jobs import FAILED, SUCCEEDED, Job, job_in, jobs_topic
from gl002.wire.json_payload import encode
from gl002.wire.mqtt_payload import payload_of
from gl002.wire.mqtt_topic import filters_of
from gl002.wire.sample_topic import topic_template

log = logging.getLogger("gl002.aws")


class AWSIoTConnector(AWSIoTConnection):
    """A connection of one device to AWS IoT Core.

    Subscriptions with a callback come back by themselves after an outage. A connection with an
    input keeps its session at AWS, so that what is sent meanwhile is delivered later.
    """

    kind = "aws"
    can = Capability.STREAM | Capability.STORE
    Config = AWSIoTConfig
    Input = AWSIoTInput
    Output = AWSIoTOutput
    environment: ClassVar = {"GL002_AWS_IOT_ENDPOINT": "endpoint"}
    _jobs_done = False

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """The endpoint of a URL, 'aws://host:port'."""
        return {"endpoint": url.partition("://")[2].rstrip("/")}

    # ---- shadows ----------------------------------------------------------------------------

    async def update_shadow(
        self, document: Mapping[str, Any], *, shadow: str = "", version: int | None = None
    ) -> Mapping[str, Any]:
        """Change a shadow of our thing; returns when the shadow service has accepted it.

        Args:
            document: {'state': {'reported': {...}, 'desired': {...}}}; null removes a key.
            shadow: name of the shadow; '' is the classic one.
            version: the update is refused unless the shadow has this version.

        Returns:
            What was accepted: 'state', 'metadata', 'version', 'timestamp'.

        Raises:
            VersionConflict: the shadow has another version (`gl002.wire.aws_iot`).
            DataError: the document is none, or larger than a shadow may be.
            RequestFailed: it was refused for another reason.
            Busy: the service is overloaded, or silent.
            ConnectFailed, RequestTimeout: whether it was carried out is unknown.
        """
        if not isinstance(document.get("state"), Mapping):
            raise DataError("a shadow document has a 'state'", hint="{'state': {'reported': ...}}")
        if len(encode(document["state"])) > LARGEST_SHADOW:
            raise DataError(f"a shadow has at most {LARGEST_SHADOW} bytes")
        versioned = {} if version is None else {"version": version}
        return await self._of_shadow("update", shadow, {**document, **versioned})

    async def get_shadow(self, *, shadow: str = "") -> Mapping[str, Any]:
        """The whole document of a shadow: 'state', 'metadata', 'version', 'timestamp'.

        Raises:
            TagNotFound: there is no such shadow yet.
            RequestFailed, ConnectFailed, RequestTimeout: as `update_shadow`.
        """
        return await self._of_shadow("get", shadow, {})

    async def delete_shadow(self, *, shadow: str = "") -> None:
        """Remove a shadow with all its state.

        Raises:
            TagNotFound: there is none.
            RequestFailed, ConnectFailed, RequestTimeout: as `update_shadow`.
        """
        await self._of_shadow("delete", shadow, {})

    async def on_delta(self, callback: Callable[[Delta], Any], *, shadow: str = "") -> None:
        """Call `callback` with what is desired and not yet reported: now, and at each change.

        After an outage what was missed comes, too.

        Deltas come with the version of the shadow; one that is not newer than the last is left
        out, so that a late message never brings back an old wish. End it with `unsubscribe` of
        '$aws/things/<thing>/shadow/update/delta'.

        Args:
            callback: plain or coroutine function that takes a `Delta`.
            shadow: name of the shadow; '' is the classic one.

        Raises:
            RequestFailed, ConnectFailed, RequestTimeout: as `subscribe`.
        """
        topic = shadow_topic(self.thing_name, check_shadow(shadow), "update", "delta")
        newest, turn = -1, asyncio.Lock()

        async def hand_over(delta: Delta) -> None:
            nonlocal newest
            async with turn:
                if delta.version > newest:
                    newest = delta.version
                    outcome = callback(delta)
                    if inspect.isawaitable(outcome):
                        await outcome

        async def arrived(message: Message) -> None:
            await hand_over(read_delta(message.payload, shadow))

        async def catch_up() -> None:
            current = await self._current(shadow)
            if delta := current.get("state", {}).get("delta"):
                await hand_over(Delta(state=delta, version=current["version"], shadow=shadow))

        await self._call_back([topic], arrived, 1, catch_up)

    async def _current(self, shadow: str) -> Mapping[str, Any]:
        """The document of a shadow; an empty one where there is none."""
        try:
            return await self.get_shadow(shadow=shadow)
        except LookupError:
            return {}

    # ---- jobs -------------------------------------------------------------------------------

    async def on_job(self, callback: Callable[[Job], Any]) -> None:
        """Do the jobs that wait for our thing, one after the other, now and as they come.

        A job that was begun and not ended, because this program was stopped in the middle, is
        handed over again: doing it twice must do no harm. A job is a wish; to write to the plant
        because of one, ask `gl002.writes`.

        Args:
            callback: plain or coroutine function that takes a `Job`, and returns details of its
                success (a mapping of text) or None. If it raises, the job has failed.

        Raises:
            RequestFailed, ConnectFailed, RequestTimeout: as `subscribe`.
        """
        turn = asyncio.Lock()
        ask = jobs_topic(self.thing_name, "$next", "get")

        async def arrived(message: Message) -> None:
            async with turn:
                waits = job_in(message.json()) is not None
                while waits and (job := await self._start_next_job()):
                    await self._do(job, callback)

        async def catch_up() -> None:
            await self._publish(ask, b"{}", qos=1, retain=False)

        notices = jobs_topic(self.thing_name, "notify-next")
        await self._call_back([notices, f"{ask}/accepted"], arrived, 1, catch_up)

    async def _do(self, job: Job, callback: Callable[[Job], Any]) -> None:
        """Do one job, and tell what became of it."""
        try:
            outcome = callback(job)
            details = await outcome if inspect.isawaitable(outcome) else outcome
            status, told = SUCCEEDED, dict(details or {})
        except Exception as error:
            ours = isinstance(error, GL002Error)  # says all there is to say
            log.log(
                logging.WARNING if ours else logging.ERROR,
                "%s: the job '%s' failed: %s", self.name, job.id, error, exc_info=not ours,
            )  # fmt: skip
            status, told = FAILED, {"reason": f"{type(error).__name__}: {error}"}
        await self._end_job(job, status, told)

    # ---- messages ---------------------------------------------------------------------------

    async def subscribe(
        self,
        topics: str | Sequence[str],
        callback: Callable[[Message], Any],
        *,
        qos: int = 1,
    ) -> None:
        """Call `callback` with each message of these topics, in order, until `unsubscribe`.

        Args:
            topics: a topic filter or up to eight.
            callback: plain or coroutine function that takes a `Message`. The message is
                acknowledged when it has returned, and also when it has raised, which is logged.
            qos: 0 or 1; AWS knows no 2.

        Raises:
            ConfigError: a filter is not valid, or there are more than AWS takes at once.
            RequestFailed: AWS refuses one: the policy does not allow it.
            ConnectFailed, RequestTimeout: after the configured number of tries.
        """
        filters = filters_of(topics)
        if len(filters) > MOST_FILTERS:
            raise ConfigError(f"{len(filters)} topics: AWS takes {MOST_FILTERS} at once")
        for topic in filters:
            check_topic(topic, wildcards=True)
            self._warn_of_other_thing(topic)
        await self._call_back(filters, callback, _level(qos))

    def _warn_of_other_thing(self, topic: str) -> None:
        thing = thing_of(topic)
        if thing not in {"", "+", self.thing_name}:
            log.warning(
                "%s: '%s' is of the thing '%s', update_shadow is about '%s': set thing_name "
                "if they are to be one", self.name, topic, thing, self.thing_name,
            )  # fmt: skip

    async def unsubscribe(self, topics: str | Sequence[str]) -> None:
        """End the subscriptions that were made with exactly these topics.

        Raises:
            ConnectFailed, RequestTimeout: AWS could not be told; they have ended here.
        """
        await self._end_call_back(filters_of(topics))

    async def publish(
        self, topic: str, payload: Any, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish a message; returns when AWS has taken it over.

        Args:
            topic: one topic; '$aws/rules/<rule>/...' goes to that rule alone (Basic Ingest).
            payload: bytes and text as they are; None is an empty message; anything else as JSON.
            qos: 0 or 1. With 0 nothing is confirmed.
            retain: AWS keeps it for new subscribers.

        Raises:
            ConfigError: the topic is not valid, or longer than AWS takes.
            DataError: the payload has no JSON form, or more than 128 KiB.
            RequestFailed: AWS refuses it: the policy does not allow it.
            Busy: more messages than AWS takes in a second.
            ConnectFailed, RequestTimeout: whether it arrived is unknown.
        """
        check_topic(topic)
        content = payload_of(payload)
        if len(content) > LARGEST_MESSAGE:
            raise DataError(f"{len(content)} bytes: AWS takes {LARGEST_MESSAGE} in a message")
        await self._publish(topic, content, qos=_level(qos), retain=retain)

    # ---- what the flow asks -----------------------------------------------------------------

    def source(self, spec: InputSettings) -> MQTTSource:
        """Topics, or the desired state of a shadow; from now on AWS keeps our session."""
        assert isinstance(spec, AWSIoTInput)
        topic = shadow_topic(self.thing_name, spec.shadow_name, "get")

        async def ask_for_state() -> None:
            await self._publish(topic, b"", qos=1, retain=False)
            if spec.jobs and not self._jobs_done:
                await self.on_job(self._propose)
                self._jobs_done = True

        return self._stream(
            spec.decoder_for(self.thing_name),
            qos=spec.qos,
            max_tags=spec.max_tags,
            then=ask_for_state if spec.shadow is not None else None,
            wishes=self._wishes(spec) if spec.shadow is not None else None,
        )

    async def _propose(self, job: Job) -> Mapping[str, str]:
        """A job as a proposal for a write: it is done when a person has let it be written."""
        document = job.document if isinstance(job.document, Mapping) else {}
        if document.get("operation") != PROPOSE:
            raise RequestFailed(f"the operation is not '{PROPOSE}': the gateway does no other jobs")
        once = f"job {job.id}, execution {job.execution}"
        proposal = Proposal.asked(document, id=once, origin=self.name, asker=f"job {job.id}")
        answer = await self.context.proposals.offer(proposal)
        if not answer.final:
            answer = await self.context.proposals.outcome(proposal)
        if answer.state != "written":
            raise RequestFailed(f"{answer.state}: {answer.reason}")
        return answer.told()

    def _wishes(self, spec: AWSIoTInput) -> Wishes:
        """Proposals from the desired state, and what became of them in the reported one."""

        async def report(document: Mapping[str, Any]) -> None:
            await self.update_shadow({"state": {"reported": document}}, shadow=spec.shadow_name)

        asker = f"shadow '{spec.shadow_name or 'classic'}' of {self.thing_name}"
        prefix = spec.prefix or "desired."
        return Wishes(self.name, self.context.proposals, prefix, asker, report)

    def sink(self, spec: OutputSettings) -> MQTTSink:
        """Publish samples."""
        assert isinstance(spec, AWSIoTOutput)
        return self._publisher(
            topic_template(spec.topic),
            qos=1 if spec.qos is None else spec.qos,
            retain=bool(spec.retain),
            largest=spec.max_payload,
            pace=self._pace,
        )


def _level(qos: int) -> int:
    if qos not in {0, 1}:
        raise DataError(f"AWS IoT Core has no qos {qos}", hint="0 or 1")
    return qos


class SyncAWSIoTConnector(Blocking[AWSIoTConnector]):
    """The blocking face of `AWSIoTConnector`: same calls, without `await`.

    Callbacks run one after the other on a thread of their own.
    """

    def __init__(
        self,
        config: AWSIoTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AWSIoTConnector(config, name=name, pool=pool, context=context))

    @functools.wraps(AWSIoTConnector.subscribe)
    def subscribe(
        self,
        topics: str | Sequence[str],
        callback: Callable[[Message], Any],
        *,
        qos: int = 1,
    ) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.subscribe(topics, on_callback_thread(callback), qos=qos))

    @functools.wraps(AWSIoTConnector.on_delta)
    def on_delta(self, callback: Callable[[Delta], Any], *, shadow: str = "") -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.on_delta(on_callback_thread(callback), shadow=shadow))

    @functools.wraps(AWSIoTConnector.on_job)
    def on_job(self, callback: Callable[[Job], Any]) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.on_job(on_callback_thread(callback)))

    connect = blocking(AWSIoTConnector.connect)
    close = blocking(AWSIoTConnector.close)
    check = blocking(AWSIoTConnector.check)
    set_timeout = plain(AWSIoTConnector.set_timeout)
    try_at_once = plain(AWSIoTConnector.try_at_once)
    update_shadow = blocking(AWSIoTConnector.update_shadow)
    get_shadow = blocking(AWSIoTConnector.get_shadow)
    delete_shadow = blocking(AWSIoTConnector.delete_shadow)
    unsubscribe = blocking(AWSIoTConnector.unsubscribe)
    publish = blocking(AWSIoTConnector.publish)
