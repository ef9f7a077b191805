import ctypes
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.wire.modbus import BYTE_ORDERS, Decoder, Format

# value, data type, then the bytes on the wire in the orders ABCD, CDAB, BADC, DCBA
GOLDEN = [
    (16909060, "int32", "01020304", "03040102", "02010403", "04030201"),
    (-2, "int32", "fffffffe", "fffeffff", "fffffeff", "feffffff"),
    (4278190081, "uint32", "ff000001", "0001ff00", "00ff0100", "010000ff"),
    (
        72623859790382856, "int64",
        "0102030405060708", "0708050603040102", "0201040306050807", "0807060504030201",
    ),
    (
        -9223372036854775808, "int64",
        "8000000000000000", "0000000000008000", "0080000000000000", "0000000000000080",
    ),
    (
        18446744073709551615, "uint64",
        "ffffffffffffffff", "ffffffffffffffff", "ffffffffffffffff", "ffffffffffffffff",
    ),
    (485.0, "float32", "43f28000", "800043f2", "f2430080", "0080f243"),
    (-0.15625, "float32", "be200000", "0000be20", "20be0000", "000020be"),
    (
        1e100, "float64",
        "54b249ad2594c37d", "c37d259449ad54b2", "b254ad4994257dc3", "7dc39425ad49b254",
    ),
    (1.5, "float16", "3e00", "3e00", "003e", "003e"),
    (-12, "int16", "fff4", "fff4", "f4ff", "f4ff"),
    (65534, "uint16", "fffe", "fffe", "feff", "feff"),
    (True, "bool", "0001", "0001", "0100", "0100"),
    (1234, "bcd16", "1234", "1234", "3412", "3412"),
    (12345678, "bcd32", "12345678", "56781234", "34127856", "78563412"),
    (
        1234567890123456, "bcd64",
        "1234567890123456", "3456901256781234", "3412785612905634", "5634129078563412",
    ),
    ("FT-101", "string", "46542d313031", "46542d313031", "5446312d3130", "5446312d3130"),
]  # fmt: skip
VECTORS = [
    (data_type, order, value, bytes.fromhex(wire))
    for value, data_type, *wires in GOLDEN
    for order, wire in zip(BYTE_ORDERS, wires, strict=True)
]
INTEGERS = {
    "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1),
    "bcd16": (0, 10**4 - 1), "bcd32": (0, 10**8 - 1), "bcd64": (0, 10**16 - 1),
}  # fmt: skip
WIDTHS = {"float16": 16, "float32": 32, "float64": 64}
orders = st.sampled_from(BYTE_ORDERS)


def form(data_type, order="ABCD", **more):
    length = {"length": 3} if data_type == "string" and "length" not in more else {}
    return Format(data_type=data_type, byte_order=order, **length, **more)


@st.composite
def values(draw, data_type):
    if data_type in INTEGERS:
        return draw(st.integers(*INTEGERS[data_type]))
    if data_type == "bool":
        return draw(st.booleans())
    return draw(st.floats(width=WIDTHS[data_type], allow_nan=False, allow_infinity=False))


# ---- byte orders ------------------------------------------------------------------------------


@pytest.mark.parametrize(("data_type", "order", "value", "wire"), VECTORS)
def test_every_type_in_every_order_is_read_and_written_as_the_golden_bytes(
    data_type, order, value, wire
):
    assert form(data_type, order).decode(wire) == value
    assert type(form(data_type, order).decode(wire)) is type(value)
    assert form(data_type, order).encode(value) == wire


@given(order=orders, raw=st.binary(min_size=8, max_size=8))
def test_the_letters_of_an_order_say_where_each_byte_of_the_value_stands(order, raw):
    eight = {
        "ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA",
    }  # fmt: skip
    for letters, data_type in ((order, "uint32"), (eight[order], "uint64")):
        value = raw[: len(letters)]
        wire = bytes(value[ord(letter) - ord("A")] for letter in letters)
        assert form(data_type, order).decode(wire) == int.from_bytes(value, "big")


@given(data_type=st.sampled_from([*INTEGERS, *WIDTHS, "bool"]), order=orders, data=st.data())
def test_what_is_written_is_what_is_read(data_type, order, data):
    value = data.draw(values(data_type))
    wire = form(data_type, order).encode(value)
    assert len(wire) == 2 * form(data_type, order).registers
    assert form(data_type, order).decode(wire) == value


@given(order=orders, value=st.floats(width=32, allow_nan=False))
def test_libmodbus_reads_the_same_float_from_our_registers(order, value):
    library = ctypes.CDLL("libmodbus.so.5")
    read = getattr(library, f"modbus_get_float_{order.lower()}")
    read.restype = ctypes.c_float
    packed = struct.pack(">f", value)
    wire = bytes(packed["ABCD".index(letter)] for letter in order)
    words = (ctypes.c_uint16 * 2)(*struct.unpack(">2H", wire))
    assert read(words) == value
    assert form("float32", order).decode(wire) == value


@given(order=orders, raw=st.sampled_from(["7fc00000", "7f800000", "ff800000"]))
def test_nan_and_infinity_of_a_device_are_shown_as_they_are(order, raw):
    packed = bytes.fromhex(raw)
    wire = bytes(packed["ABCD".index(letter)] for letter in order)
    seen = form("float32", order).decode(wire)
    expected = struct.unpack(">f", packed)[0]
    assert seen == expected or (math.isnan(seen) and math.isnan(expected))


# ---- blocks -----------------------------------------------------------------------------------

any_form = st.one_of(
    st.builds(
        form,
        st.sampled_from([*INTEGERS, *WIDTHS, "bool"]),
        orders,
    ),
    st.builds(form, st.just("string"), orders, length=st.integers(1, 6)),
    st.builds(
        form,
        st.sampled_from(["int16", "float32", "uint32", "bcd16"]),
        orders,
        scale=st.sampled_from([0.1, 0.01, 2.0, -1.5]),
        offset=st.sampled_from([0.0, -40.0]),
    ),
    st.builds(form, st.just("uint32"), orders, bit=st.integers(0, 24), bits=st.integers(1, 8)),
)


@given(
    fields=st.lists(st.tuples(st.integers(0, 20), any_form), min_size=1, max_size=12),
    payload=st.binary(min_size=60, max_size=60),
)
def test_a_block_gives_each_value_as_if_it_were_read_alone(fields, payload):
    together = Decoder(fields, 30).values(payload)
    for (start, each), seen in zip(fields, together, strict=True):
        raw = payload[2 * start : 2 * (start + each.registers)]
        try:
            alone = each.decode(raw)
        except DataError:
            alone = None
        assert seen == alone or (seen != seen and alone != alone), (start, each)  # noqa: PLR0124 (NaN)
        assert type(seen) is type(alone)


def test_a_payload_of_another_length_is_refused():
    with pytest.raises(DataError, match="3 bytes where 4"):
        Decoder([(0, form("float32"))], 2).values(b"abc")


# ---- scale and offset -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "raw", "value"),
    [(0.1, 3, 0.3), (0.1, 123, 12.3), (0.01, 7, 0.07), (0.001, 1001, 1.001), (10, 7, 70)],
)
def test_a_decimal_scale_gives_the_decimal_number_a_person_expects(scale, raw, value):
    assert form("int16", scale=scale).decode(raw.to_bytes(2, "big")) == value


@given(
    raw=st.integers(-(2**15), 2**15 - 1),
    scale=st.sampled_from([0.1, 0.01, 0.001, 0.25, 1 / 3, 1.0, 2.0, 10.0, -0.1, 1.8]),
    offset=st.sampled_from([0.0, 32.0, -40.0, 0.5]),
)
def test_a_scaled_register_written_back_as_it_was_read_does_not_move(raw, scale, offset):
    each = form("int16", scale=scale, offset=offset)
    wire = raw.to_bytes(2, "big", signed=True)
    assert each.encode(each.decode(wire)) == wire


def test_a_value_between_two_steps_goes_to_the_nearest():
    each = form("int16", scale=0.1)
    assert each.decode(each.encode(12.34)) == 12.3
    assert each.decode(each.encode(-12.36)) == -12.4


def test_an_unscaled_integer_takes_no_fraction():
    with pytest.raises(DataError, match="no whole number"):
        form("int16").encode(12.5)
    assert form("int16").encode(12.0) == b"\x00\x0c"


# ---- bit fields, the bytes on the wire --------------------------------------------------------

# type, bit, bits, value; then for each order the bytes before, after the write, and its register
BIT_FIELDS = [
    ("uint16", 3, 1, True, [
        ("ABCD", "a005", "a00d", 0), ("CDAB", "a005", "a00d", 0),
        ("BADC", "05a0", "0da0", 0), ("DCBA", "05a0", "0da0", 0),
    ]),
    ("uint16", 8, 4, 9, [
        ("ABCD", "a005", "a905", 0), ("CDAB", "a005", "a905", 0),
        ("BADC", "05a0", "05a9", 0), ("DCBA", "05a0", "05a9", 0),
    ]),
    ("uint32", 20, 3, 5, [
        ("ABCD", "12040678", "12540678", 0), ("CDAB", "06781204", "06781254", 1),
        ("BADC", "04127806", "54127806", 0), ("DCBA", "78060412", "78065412", 1),
    ]),
    ("uint64", 1, 1, False, [
        ("ABCD", "0102030405060703", "0102030405060701", 3),
        ("CDAB", "0703050603040102", "0701050603040102", 0),
        ("BADC", "0201040306050307", "0201040306050107", 3),
        ("DCBA", "0307060504030201", "0107060504030201", 0),
    ]),
]  # fmt: skip
BIT_VECTORS = [
    (data_type, bit, bits, value, *wire)
    for data_type, bit, bits, value, wires in BIT_FIELDS
    for wire in wires
]


@pytest.mark.parametrize("vector", BIT_VECTORS, ids=str)
def test_every_bit_field_in_every_order_is_read_and_written_as_the_golden_bytes(vector):
    data_type, bit, bits, value, order, before, after, register = vector
    field = form(data_type, order, bit=bit, bits=bits)
    wire, wanted = bytearray.fromhex(before), bytes.fromhex(after)
    assert field.decode(wanted) == value != field.decode(bytes(wire))
    mask = field.mask(value)
    at = slice(2 * mask.register, 2 * mask.register + 2)
    old = int.from_bytes(wire[at], "big")
    new = (old & mask.and_mask) | (mask.or_mask & ~mask.and_mask & 0xFFFF)  # section 6.16
    wire[at] = new.to_bytes(2, "big")
    assert (bytes(wire), mask.register) == (wanted, register)


# ---- what a register cannot hold --------------------------------------------------------------


@pytest.mark.parametrize("data_type", INTEGERS)
def test_a_number_out_of_range_is_refused_and_never_wrapped(data_type):
    lowest, highest = INTEGERS[data_type]
    for outside in (lowest - 1, highest + 1, 10**40, -(10**40)):
        with pytest.raises(DataError, match="out of the range of"):
            form(data_type).encode(outside)


@pytest.mark.parametrize("data_type", ["float16", "float32"])
def test_a_float_too_large_is_refused_and_never_made_infinite(data_type):
    for outside in (1e39, -1e300, 10**400):
        with pytest.raises(DataError, match="out of the range"):
            form(data_type).encode(outside)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, None, "12", True])
@pytest.mark.parametrize("data_type", ["int16", "float32", "bcd16"])
def test_what_is_no_finite_number_is_never_written(data_type, wrong):
    with pytest.raises(DataError):
        form(data_type).encode(wrong)


@pytest.mark.parametrize("wrong", [2, -1, 0.0, 1.0, "on", None])
def test_a_bool_takes_only_true_and_false(wrong):
    with pytest.raises(DataError, match="neither true nor false"):
        form("bool").encode(wrong)


def test_scaling_that_overflows_is_refused():
    with pytest.raises(DataError, match="out of the range"):
        form("int16", scale=1e-300).encode(1e300)


@pytest.mark.parametrize("raw", ["123a", "f000", "0a00"])
def test_digits_above_nine_are_no_bcd(raw):
    with pytest.raises(DataError, match="is no bcd16"):
        form("bcd16").decode(bytes.fromhex(raw))
    assert Decoder([(0, form("bcd16"))], 1).values(bytes.fromhex(raw)) == [None]


# ---- text -------------------------------------------------------------------------------------


@given(text=st.text(max_size=20), order=orders)
def test_text_comes_back_without_its_padding(text, order):
    text = text.replace("\0", "").rstrip(" ")
    length = max(1, (len(text.encode()) + 1) // 2)
    each = form("string", order, length=length)
    assert each.decode(each.encode(text)) == text


def test_text_ends_at_the_first_nul_and_bytes_that_are_no_text_are_none():
    each = form("string", length=3)
    assert each.decode(b"AB\0XYZ") == "AB"
    assert each.decode(b"AB    ") == "AB"
    with pytest.raises(DataError):
        each.decode(b"\xff\xfe\xfd\xfc\xfb\xfa")


def test_text_that_is_too_long_is_refused_and_never_cut():
    with pytest.raises(DataError, match="longer than 6 bytes"):
        form("string", length=3).encode("seven.7")
    with pytest.raises(DataError, match="no text"):
        form("string", length=3).encode(7)


# ---- bits -------------------------------------------------------------------------------------


@given(word=st.integers(0, 2**16 - 1), bit=st.integers(0, 15), order=orders)
def test_a_bit_counts_from_the_lowest(word, bit, order):
    wire = form("uint16", order).encode(word)
    assert form("uint16", order, bit=bit).decode(wire) is bool(word & 2**bit)


@given(number=st.integers(0, 2**32 - 1), bit=st.integers(0, 27), bits=st.integers(2, 4))
def test_several_bits_are_an_unsigned_integer(number, bit, bits):
    wire = number.to_bytes(4, "big")
    assert form("uint32", bit=bit, bits=bits).decode(wire) == number // 2**bit % 2**bits


@given(
    old=st.integers(0, 2**16 - 1), bit=st.integers(0, 12), bits=st.integers(1, 4),
    order=orders, data=st.data(),
)  # fmt: skip
def test_a_mask_changes_its_bits_and_no_other(old, bit, bits, order, data):
    value = data.draw(st.booleans() if bits == 1 else st.integers(0, 2**bits - 1))
    each = form("uint16", order, bit=bit, bits=bits)
    register, and_mask, or_mask = each.mask(value)
    assert register == 0
    before = form("uint16", order).decode(old.to_bytes(2, "big"))
    new = (old & and_mask) | (or_mask & ~and_mask & 0xFFFF)  # MODBUS V1.1b3, 6.16
    after = form("uint16", order).decode(new.to_bytes(2, "big"))
    assert each.decode(new.to_bytes(2, "big")) == value
    field = (2**bits - 1) << bit
    assert after & ~field == before & ~field


def test_a_value_larger_than_its_field_is_refused():
    for wrong in (4, -1, 1.0, None):
        with pytest.raises(DataError):
            form("uint16", bit=3, bits=2).mask(wrong)
    with pytest.raises(DataError):
        form("uint16", bit=3).mask(2)
    with pytest.raises(DataError, match="without the rest"):
        form("uint16", bit=3).encode(True)
    with pytest.raises(DataError, match="bits 14 to 17 lie across two registers"):
        form("uint32", bit=14, bits=4).mask(3)
    with pytest.raises(DataError, match="only a bit field"):
        form("uint16").mask(3)


# ---- formats that make no sense ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"data_type": "string"}, "length"),
        ({"data_type": "int16", "length": 2}, "length"),
        ({"data_type": "string", "length": 126}, "125"),
        ({"data_type": "float32", "bit": 1}, "unsigned"),
        ({"data_type": "int16", "bit": 1}, "unsigned"),
        ({"data_type": "uint16", "bit": 16}, "bit 16 is beyond"),
        ({"data_type": "uint16", "bit": 14, "bits": 3}, "bit 16 is beyond"),
        ({"data_type": "uint16", "bit": -1}, "0 or more"),
        ({"data_type": "uint16", "bit": 1, "bits": 0}, "1 or more"),
        ({"data_type": "uint16", "bits": 2}, "needs bit"),
        ({"data_type": "bool", "scale": 2.0}, "bools"),
        ({"data_type": "string", "length": 1, "offset": 1.0}, "strings"),
        ({"data_type": "uint16", "bit": 1, "scale": 2.0}, "bit fields"),
        ({"data_type": "int16", "scale": 0.0}, "scale"),
        ({"data_type": "int16", "scale": math.inf}, "scale"),
        ({"data_type": "int16", "offset": math.nan}, "offset"),
    ],
)
def test_a_format_that_contradicts_itself_says_how(wrong, word):
    with pytest.raises(DataError, match=word):
        Format(**wrong)
