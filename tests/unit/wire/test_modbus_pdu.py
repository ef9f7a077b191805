import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.wire import modbus_pdu as pdu

H = bytes.fromhex
# request, its bytes, a reply, the data in it: the examples of MODBUS V1.1b3, sections 6.1 to 6.17
EXAMPLES = [
    (pdu.read("coil", 0x13, 19), "01 0013 0013", "01 03 CD6B05", "CD6B05"),
    (pdu.read("discrete", 0xC4, 22), "02 00C4 0016", "02 03 ACDB35", "ACDB35"),
    (pdu.read("holding", 0x6B, 3), "03 006B 0003", "03 06 022B 0000 0064", "022B00000064"),
    (pdu.read("input", 8, 1), "04 0008 0001", "04 02 000A", "000A"),
    (pdu.write_coil(0xAC, on=True), "05 00AC FF00", "05 00AC FF00", ""),
    (pdu.write_coil(0xAC, on=False), "05 00AC 0000", "05 00AC 0000", ""),
    (pdu.write_register(1, H("0003")), "06 0001 0003", "06 0001 0003", ""),
    (
        pdu.write_coils(0x13, [c == "1" for c in "1011001110"]),
        "0F 0013 000A 02 CD01", "0F 0013 000A", "",
    ),
    (pdu.write_registers(1, H("000A0102")), "10 0001 0002 04 000A 0102", "10 0001 0002", ""),
    (pdu.mask_write(4, 0xF2, 0x25), "16 0004 00F2 0025", "16 0004 00F2 0025", ""),
    (
        pdu.read_write(3, 6, 0x0E, H("00FF 00FF 00FF")),
        "17 0003 0006 000E 0003 06 00FF 00FF 00FF", "17 0C 00FE 0ACD 0001 0003 000D 00FF",
        "00FE 0ACD 0001 0003 000D 00FF",
    ),
]  # fmt: skip
REQUESTS = [request for request, *_ in EXAMPLES]


@pytest.mark.parametrize(("request_", "sent", "reply", "data"), EXAMPLES)
def test_requests_and_replies_are_those_of_the_specification(request_, sent, reply, data):
    assert request_ == H(sent)
    assert pdu.payload(request_, H(reply)) == H(data)


@pytest.mark.parametrize(("request_", "sent", "reply", "data"), EXAMPLES)
def test_a_request_says_how_long_its_reply_is(request_, sent, reply, data):
    assert pdu.reply_size(request_, H(reply)[0]) == len(H(reply))
    assert pdu.reply_size(request_, request_[0] | 0x80) == 2
    with pytest.raises(pdu.Garbage):
        pdu.reply_size(request_, request_[0] + 1)


def test_what_writes_is_known_by_its_function():
    writing = {request[0] for request in REQUESTS if pdu.writes(request)}
    assert writing == {5, 6, 15, 16, 22, 23}


def test_bits_begin_with_the_lowest_of_the_first_byte():
    first = pdu.bits(H("CD6B05"), 19)
    assert "".join("01"[bit] for bit in first) == "1011001111010110101"


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 99])
def test_an_exception_reply_is_a_refusal_with_its_code(request_, code):
    with pytest.raises(pdu.Refusal) as caught:
        pdu.payload(request_, bytes([request_[0] | 0x80, code]))
    assert caught.value.code == code
    assert f"{code:02X}" in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        "", "03", "03 06", "03 05 022B 0000 00", "03 06 022B 0000", "03 06 022B 0000 0064 00",
        "03 04 022B 0000", "03 08 022B 0000 0064 0000", "03 07 022B 0000 0064 00",
        "04 06 022B 0000 0064", "83", "83 00", "83 02 00", "84 02", "00 00", "80 02",
    ],
)  # fmt: skip
def test_a_reply_of_another_function_or_length_is_garbage(reply):
    with pytest.raises(pdu.Garbage):
        pdu.payload(pdu.read("holding", 0x6B, 3), H(reply))


@given(request=st.sampled_from(REQUESTS), reply=st.binary(max_size=260))
def test_of_any_bytes_only_a_whole_reply_to_the_request_is_believed(request, reply):
    try:
        data = pdu.payload(request, reply)
    except (pdu.Refusal, pdu.Garbage):
        return
    assert reply[0] == request[0]
    if request[0] <= 4:
        assert reply == bytes([request[0], len(data)]) + data
        count = int.from_bytes(request[3:5], "big")
        assert len(data) == (2 * count if request[0] > 2 else (count + 7) // 8)
    else:
        assert request.startswith(reply)


@given(request=st.sampled_from(REQUESTS), which=st.integers(0, 9), byte=st.integers(1, 255))
def test_an_acknowledgement_that_differs_in_any_byte_is_not_believed(request, which, byte):
    if request[0] <= 4:
        return
    good = request[:5] if request[0] in {15, 16} else request
    spoilt = bytearray(good)
    spoilt[which % len(good)] ^= byte
    with pytest.raises((pdu.Garbage, pdu.Refusal)):
        pdu.payload(request, bytes(spoilt))


@pytest.mark.parametrize("other", REQUESTS)
@pytest.mark.parametrize(("request_", "_", "reply", "__"), EXAMPLES)
def test_a_reply_fits_the_requests_of_the_same_shape_and_no_others(request_, _, reply, __, other):
    assert pdu.fits(other, H(reply)) == (pdu.shape(other) == pdu.shape(request_))


@given(
    table=st.sampled_from(["coil", "discrete", "holding", "input"]),
    start=st.integers(0, 65535), count=st.integers(1, 2000),
)  # fmt: skip
def test_what_is_read_beside_a_request_has_another_shape_and_exists(table, start, count):
    if start + count > 65536 or (table in {"holding", "input"} and count > 125):
        return
    request = pdu.read(table, start, count)
    place = set(range(start, start + count))
    for part in pdu.fewer(request):
        first, less = int.from_bytes(part[1:3], "big"), int.from_bytes(part[3:5], "big")
        assert set(range(first, first + less)) < place
        assert pdu.shape(part) != pdu.shape(request)
    for other, first, more in pdu.more(request):
        assert (other, set(range(first, first + more)) > place) == (table, True)
        assert 0 <= first <= 65536 - more
        assert pdu.shape(pdu.read(other, first, more)) != pdu.shape(request)


@pytest.mark.parametrize("request_", [r for r in REQUESTS if pdu.writes(r)])
def test_beside_a_write_only_what_it_touches_is_read(request_):
    (part,) = pdu.fewer(request_)
    assert not pdu.writes(part)
    assert part[1:3] == request_[1:3]


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.binary(max_size=260))
def test_of_several_requests_the_size_of_a_reply_is_known_from_its_head(requests, junk):
    for _, _, reply, _ in (example for example in EXAMPLES if example[0] in requests):
        head = H(reply)
        assert pdu.size_of_reply(requests, head + junk) == len(head)
