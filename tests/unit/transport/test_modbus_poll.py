import asyncio

import pytest

from gl002.errors import RequestTimeout
from gl002.model import Quality
from gl002.transport.modbus.poll import Polled
from gl002.transport.modbus.reader import Reader
from gl002.wire.modbus_address import Place
from gl002.wire.modbus_plan import Learned, Limits, Register
from virtual_time import in_virtual_time


class Device:
    """Answers, or not, and counts the requests."""

    def __init__(self):
        self.asked = 0
        self.alive = False

    async def ask(self, unit, request, what):
        self.asked += 1
        if not self.alive:
            raise RequestTimeout("no answer")
        return b"\0\x07"


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def polled(device):
    register = Register(tag="a", place=Place("holding", 1))
    reader = Reader(device.ask, 1, [register], Limits(), Learned())
    return Polled(reader, 1.0, timeout=0.2)


async def due(polled):
    """Wait until it would ask again."""
    while not polled.put_off:
        await polled.poll(0.0)
        await asyncio.sleep(0.01)


@in_virtual_time
async def test_a_silent_device_is_bad_at_once_and_not_asked_again_for_a_while(device, polled):
    first = await polled.poll()
    assert isinstance(first.error, RequestTimeout)
    assert polled.silent
    again = await polled.poll()
    assert again.error is None
    assert [s.quality for s in again.batch] == [int(Quality.BAD_NO_COMMUNICATION)]
    assert device.asked == 1


@in_virtual_time
async def test_it_is_asked_in_a_pause_of_the_line_and_put_off_until_there_is_one(device, polled):
    await polled.poll()
    await due(polled)
    assert device.asked == 1
    outcome = await polled.poll(0.19)
    assert (outcome.batch, outcome.error, polled.put_off) == ([], None, True)
    assert polled.pause() < 1.0, "it looks again soon"
    await polled.poll(0.21)
    assert device.asked == 2


@in_virtual_time
async def test_on_a_line_without_pauses_it_is_asked_all_the_same_in_the_end(device, polled):
    await polled.poll()
    await due(polled)
    async with asyncio.timeout(5):
        while device.asked == 1:
            await polled.poll(0.0)
            await asyncio.sleep(0.01)


@in_virtual_time
async def test_a_device_that_answers_is_never_put_off(device, polled):
    device.alive = True
    for _ in range(3):
        outcome = await polled.poll(0.0)
        assert [s.value for s in outcome.batch] == [7]
    assert device.asked == 3


@in_virtual_time
async def test_a_device_that_answers_again_has_its_interval_again(device, polled):
    await polled.poll()
    await due(polled)
    device.alive = True
    outcome = await polled.poll(1.0)
    assert [s.value for s in outcome.batch] == [7]
    assert not polled.silent
    assert polled.pause() == 1.0
