import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.transport.modbus.framing import frames
from gl002.wire import modbus_pdu as pdu
from peers.modbus_frames import body_of, mbap, rtu, spelled

REQUEST = pdu.read("holding", 0, 2)
REPLY = body_of([0x43F2, 0x8000])
WIRE = {"tcp": mbap(7, 4, REPLY), "rtu": rtu(4, REPLY), "ascii": spelled(4, REPLY)}
SENT = {
    "tcp": mbap(7, 4, REQUEST), "rtu": rtu(4, REQUEST), "ascii": spelled(4, REQUEST),
}  # fmt: skip
every = pytest.mark.parametrize("framing", WIRE)


@every
def test_a_request_is_framed_by_the_letter_of_the_specification(framing):
    assert frames(framing).encode(4, 7, REQUEST) == SENT[framing]


@every
def test_a_reply_is_cut_off_when_it_is_complete_and_not_before(framing):
    wire, cutter = WIRE[framing], frames(framing)
    for end in range(len(wire)):
        assert cutter.cut(wire[:end], {4: [REQUEST]}) is None
    frame = cutter.cut(wire + b"more", {4: [REQUEST]})
    assert (frame.size, frame.unit, frame.reply) == (len(wire), 4, REPLY)


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_a_unit_that_was_not_asked_is_garbage_at_once(framing):
    with pytest.raises(pdu.Garbage, match="unit 4 answers a request to unit 5"):
        frames(framing).cut(WIRE[framing], {5: [REQUEST]})


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_each_unit_is_measured_by_what_it_was_asked(framing):
    """A late reply in front of the right one: each has the length of its own request."""
    framed = {"rtu": rtu, "ascii": spelled}[framing]
    late, wire = framed(9, body_of([1] * 10)), WIRE[framing]
    awaited = {4: [REQUEST], 9: [pdu.read("holding", 50, 10)]}
    first = frames(framing).cut(late + wire, awaited)
    assert (first.unit, first.size) == (9, len(late))
    assert frames(framing).cut((late + wire)[first.size :], awaited).unit == 4


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
@given(data=st.data())
def test_one_changed_bit_never_makes_another_reply(framing, data):
    wire = bytearray(WIRE[framing])
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    try:
        frame = frames(framing).cut(bytes(wire), {4: [REQUEST]})
    except (pdu.Garbage, ValueError):
        return
    assert frame is None or frame.reply == REPLY, "lower-case digits are the same digits"


@pytest.mark.parametrize("spoilt", [b":04 3", b":04030443F2800 \r\n", b":0g\r\n", b"x:"])
def test_what_is_no_digit_is_no_ascii_frame(spoilt):
    with pytest.raises(pdu.Garbage):
        frames("ascii").cut(spoilt.ljust(600, b"0"), {4: [REQUEST]})
