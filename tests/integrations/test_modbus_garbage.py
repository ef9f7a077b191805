"""Whatever comes over the line: no wrong value is believed, and every call ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import struct
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed, RequestTimeout
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.liar import Liar
from peers.modbus_frames import body_of, crc, mbap, rtu, spelled
from virtual_time import in_virtual_time, virtual_time

COUNT, UNIT, TIMEOUT = 4, 7, 0.05
LONGEST = 8 * TIMEOUT  # of a call: one for its request, the rest until the line is silent before
MANY = int(os.environ.get("GARBAGE_FRAMES", "5000"))
REFUSED = "refused"


def true_of(body):
    """What a reply body says, by the letter of the specification; None for nothing."""
    if len(body) == 2 and body[0] == 0x83 and body[1]:
        return REFUSED
    if len(body) == 2 + 2 * COUNT and body[0] == 3 and body[1] == 2 * COUNT:
        return list(struct.unpack(f">{COUNT}H", body[2:]))
    return None


def true_of_tcp(number, sent):
    if len(sent) < 9 or sent[2:4] != b"\0\0":
        return None
    length = int.from_bytes(sent[4:6], "big")
    whole = len(sent) >= 6 + length
    if int.from_bytes(sent[:2], "big") != number or sent[6] != UNIT or not whole:
        return None
    return true_of(sent[7 : 6 + length])


def true_of_rtu(sent):
    """Frames have no length: one of the two that can be right must stand at the very start."""
    for size in (5 + 2 * COUNT, 5):
        frame = sent[:size]
        if len(frame) == size and frame[0] == UNIT and crc(frame[:-2]) == frame[-2:]:
            said = true_of(frame[1:-2])
            if said is not None:
                return said
    return None


def true_of_ascii(sent):
    """Digits in pairs between a colon at the very start and the first end of line, and an LRC."""
    text, end, _ = sent.partition(b"\r\n")
    try:
        frame = bytes.fromhex(text[1:].decode("ascii"))
    except ValueError:
        return None
    if text[:1] != b":" or not end or b" " in text:
        return None
    if len(frame) < 4 or sum(frame) & 0xFF or frame[0] != UNIT:
        return None
    return true_of(frame[1:-1])


# ---- what is sent ------------------------------------------------------------------------------


def spoilt_body(chance, words):
    function = chance.choice([3, 3, 3, 4, 1, 2, 6, 16, 0x83, 0x84, 0, 255])
    size = chance.choice([None, None, 0, 2 * COUNT - 2, 2 * COUNT + 2, 2 * COUNT - 1, 255])
    words = chance.choice([words, words, words[:-1], [*words, 5], [], words * 30])
    body = chance.choice([body_of(words, function, size), body_of(words), b"\x83\x02", b"\x83"])
    return chance.choice([body, body, body[:-1], body + b"\0", chance.randbytes(len(body))])


def flipped(chance, frame):
    """One bit of it changed."""
    spoilt = bytearray(frame)
    spoilt[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def tcp_reply(chance, number, words):
    """A reply with anything wrong with it, or nothing."""
    body = body_of(words)
    good = mbap(number, UNIT, body)
    other = chance.choice([0, number - 1, number + 1, chance.randrange(65536)]) & 0xFFFF
    length = chance.choice([0, 1, 2, len(good) - 7, len(good) - 5, 300, 65535])
    nines = body_of([9] * COUNT)
    return chance.choice([
        good, good, good,
        mbap(other, UNIT, body),
        mbap(number, chance.choice([0, 1, UNIT + 1, 255]), body),
        mbap(number, UNIT, body, length=length),
        mbap(number, UNIT, body, protocol=chance.choice([1, 256, 65535])),
        mbap(number, UNIT, spoilt_body(chance, words)),
        chance.randbytes(chance.randrange(1, 300)),
        good + mbap(number, UNIT, nines),
        mbap((number - 1) & 0xFFFF, UNIT, nines) + good,
        flipped(chance, good),
    ])  # fmt: skip


def rtu_reply(chance, words):
    """The same for a frame that has a checksum and no number."""
    body = body_of(words)
    good = rtu(UNIT, body)
    return chance.choice([
        good, good, good,
        rtu(chance.choice([0, 1, UNIT + 1]), body),
        rtu(UNIT, spoilt_body(chance, words)),
        chance.randbytes(chance.randrange(1, 300)),
        chance.choice([good[1:], good[:-1], b"\0" + good, good + b"\0", good + good]),
        flipped(chance, good),
    ])  # fmt: skip


def ascii_reply(chance, words):
    """The same in hex digits."""
    body = body_of(words)
    good = spelled(UNIT, body)
    return chance.choice([
        good, good, good,
        spelled(chance.choice([0, 1, UNIT + 1]), body),
        spelled(UNIT, spoilt_body(chance, words)),
        chance.randbytes(chance.randrange(1, 300)),
        chance.choice([good[1:], good[:-1], b"x" + good, good + b"\0", good + good, good.lower()]),
        chance.choice([good.replace(b"0", b" ", 1), good.replace(b"\r\n", b"\n"), b":\r\n" + good]),
        flipped(chance, good),
    ])  # fmt: skip


def in_pieces(chance, sent):
    if chance.randrange(4):
        return [sent]
    size = chance.randrange(1, max(2, len(sent)))
    return [sent[i : i + size] for i in range(0, len(sent), size)]


# ---- the tests ---------------------------------------------------------------------------------


FRAMED = {"rtu_over_tcp": rtu, "ascii_over_tcp": spelled}


def count_in(request, kind):
    """How many registers a request asks for, 255 at most."""
    return (request if kind == "rtu_over_tcp" else bytes.fromhex(request[1:-2].decode()))[5]


class Trial:
    """One connector before one liar, over many frames."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.outcomes = Counter()
        self.longest = 0.0
        self.liar = Liar(self._answer)
        self._context = Context(
            network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder
        )
        self._said = None

    async def __aenter__(self):
        await self.liar.__aenter__()
        settings = {
            "type": self.kind, "host": "127.0.0.1", "port": self.liar.port,
            "slave_id": UNIT, "timeout": TIMEOUT, "retry_count": 0,
        }  # fmt: skip
        self.connector = AsyncModbusConnector(settings, context=self._context)
        return self

    async def __aexit__(self, *_):
        await self.connector.close()
        self._context.audit.close()
        await self.liar.__aexit__()

    def _answer(self, request):
        if self.kind != "tcp" and (asked := count_in(request, self.kind)) != COUNT:
            return self._aside(asked)
        words = [self.chance.randrange(65536) for _ in range(COUNT)]
        if self.kind == "tcp":
            number = int.from_bytes(request[:2], "big")
            sent = tcp_reply(self.chance, number, words)
            self._said = true_of_tcp(number, sent)
        elif self.kind == "rtu_over_tcp":
            sent = rtu_reply(self.chance, words)
            self._said = true_of_rtu(sent)
        else:
            sent = ascii_reply(self.chance, words)
            self._said = true_of_ascii(sent)
        self.sent = sent
        return in_pieces(self.chance, sent)

    def _aside(self, asked):
        """The reply to what is asked to tell late replies apart: garbage, too, now and then."""
        if self.chance.random() < 0.3:
            spoil = rtu_reply if self.kind == "rtu_over_tcp" else ascii_reply
            return in_pieces(self.chance, spoil(self.chance, [1] * COUNT))
        return [FRAMED[self.kind](UNIT, body_of([0] * asked))]

    async def frame(self, seed):
        """Ask once; the answer must be what the frame says, or an error of ours."""
        self.chance = random.Random(seed)
        self._said = None
        start = time.monotonic()
        try:
            seen = await self.connector.read_holding_registers(100, COUNT)
        except (ConnectFailed, RequestTimeout) as error:
            outcome = type(error).__name__
        except RequestFailed:
            outcome = REFUSED
            assert self._said == REFUSED, self.sent.hex(" ")
        else:
            outcome = "value"
            assert seen == self._said, self.sent.hex(" ")
        self.longest = max(self.longest, time.monotonic() - start)
        right = self._said == REFUSED if outcome == REFUSED else self._said is not None
        self.outcomes[outcome, right] += 1

    def judge(self, frames):
        """Good frames are believed, the rest is not, and nothing took too long."""
        assert sum(self.outcomes.values()) == frames
        assert self.longest < LONGEST, f"{self.longest:.2f} s"
        believed = self.outcomes["value", True]
        good = sum(n for (_, right), n in self.outcomes.items() if right)
        assert believed > 0.15 * frames, self.outcomes
        assert believed > 0.8 * (good - self.outcomes[REFUSED, True]), self.outcomes


KINDS = ["tcp", "rtu_over_tcp", "ascii_over_tcp"]


async def crowd(kind, folder, seeds, size):
    """Many trials beside each other, because bad frames cost time-outs; what all of them saw."""
    async with contextlib.AsyncExitStack() as stack:
        trials = []
        for i in range(size):
            (folder / str(i)).mkdir()
            trials.append(await stack.enter_async_context(Trial(kind, folder / str(i))))

        async def work(trial, own):
            for seed in own:
                await trial.frame(seed)

        parts = (work(trial, seeds[i::size]) for i, trial in enumerate(trials))
        await asyncio.gather(*parts)
    for trial in trials[1:]:
        trials[0].outcomes += trial.outcomes
        trials[0].longest = max(trials[0].longest, trial.longest)
    return trials[0]


@pytest.mark.parametrize("kind", KINDS)
@in_virtual_time
async def test_of_generated_frames_none_gives_a_wrong_value_and_each_ends_in_time(kind, tmp_path):
    frames = 3000 if kind == "tcp" else 600
    trial = await crowd(kind, tmp_path, range(frames), 20)
    trial.judge(frames)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@in_virtual_time
async def test_of_many_more_generated_frames_none_gives_a_wrong_value(kind, tmp_path):
    """The variable GARBAGE_FRAMES sets how many; 100,000 are a matter of minutes."""
    seeds = range(10**6, 10**6 + MANY)
    trial = await crowd(kind, tmp_path, seeds, 20)
    trial.judge(MANY)


def test_no_bytes_at_all_give_a_wrong_value(tmp_path):
    """As above, with hypothesis choosing the bytes and making a counterexample small."""
    with virtual_time() as runner:
        trial = runner.run(Trial("tcp", tmp_path).__aenter__())

        @settings(
            max_examples=400, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )  # fmt: skip
        @given(
            head=st.sampled_from([b"", b"\0\0\0\x0b", b"\0\0\0\x03", b"\0\0"]),
            tail=st.binary(max_size=40),
            numbered=st.booleans(),
        )
        def every(head, tail, numbered):
            def answer(request):
                sent = (request[:2] if numbered else b"") + head + tail
                trial.sent, trial._said = (
                    sent,
                    true_of_tcp(int.from_bytes(request[:2], "big"), sent),
                )
                return [sent]

            trial.liar.answer = answer
            runner.run(trial.frame(0))

        every()
        runner.run(trial.__aexit__())


@pytest.mark.parametrize("kind", KINDS)
@in_virtual_time
async def test_endless_noise_ends_in_an_error_within_its_time(kind, tmp_path):
    async with Trial(kind, tmp_path) as trial:
        await trial.connector.connect()
        for noise in (b"\x00", b"\x07\x03\x08", random.Random(1).randbytes(64), b"\xff" * 1000):
            trial.liar.noise = noise
            trial.liar.answer = lambda _: ()
            for _ in range(3):
                start = time.monotonic()
                with pytest.raises(GL002Error):
                    await trial.connector.read_holding_registers(0, COUNT)
                assert time.monotonic() - start < LONGEST
        trial.liar.noise = b""
        trial.liar.answer = lambda request: [
            mbap(int.from_bytes(request[:2], "big"), UNIT, body_of([1, 2, 3, 4]))
            if kind == "tcp"
            else FRAMED[kind](UNIT, body_of([1, 2, 3, 4][: count_in(request, kind)]))
        ]
        assert await trial.connector.read_holding_registers(0, COUNT) == [1, 2, 3, 4]


@in_virtual_time
async def test_what_nobody_asked_for_is_dropped_and_harms_no_later_request(tmp_path):
    async with Trial("tcp", tmp_path) as trial:
        trial.liar.noise = mbap(1, UNIT, body_of([9, 9, 9, 9])) * 20
        await trial.connector.connect()
        await asyncio.sleep(0.03)
        trial.liar.noise = b""
        await asyncio.sleep(0.03)
        trial.liar.answer = lambda request: [
            mbap(int.from_bytes(request[:2], "big"), UNIT, body_of([1, 2, 3, 4]))
        ]
        assert await trial.connector.read_holding_registers(0, COUNT) == [1, 2, 3, 4]


@in_virtual_time
async def test_an_acknowledgement_of_another_write_is_no_acknowledgement(tmp_path):
    async with Trial("tcp", tmp_path) as trial:
        trial.liar.answer = lambda request: [request[:-1] + bytes([request[-1] ^ 1])]
        with pytest.raises(ConnectFailed, match="does not repeat what was to be written"):
            await trial.connector.write_register(3000, 1234)
        trial.liar.answer = lambda request: [request]
        await trial.connector.write_register(3000, 1234)
