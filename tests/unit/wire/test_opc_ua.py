"""Node ids and the fast decoder of notifications, the driver's own encoder as reference."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from gl002.model import to_ns
from gl002.wire.opc_ua import (
    Node,
    decode_history,
    decode_publish,
    decode_read,
    looks_like_node,
    ns_to_ticks,
    overflowed,
    parse_node,
    ticks_to_ns,
    without_overflow,
)

MOMENTS = st.integers(1, 7_000_000_000_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
TYPED = st.one_of(
    st.tuples(st.just(ua.VariantType.Boolean), st.booleans()),
    st.tuples(st.just(ua.VariantType.SByte), st.integers(-(2**7), 2**7 - 1)),
    st.tuples(st.just(ua.VariantType.Byte), st.integers(0, 2**8 - 1)),
    st.tuples(st.just(ua.VariantType.Int16), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(ua.VariantType.UInt16), st.integers(0, 2**16 - 1)),
    st.tuples(st.just(ua.VariantType.Int32), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(ua.VariantType.UInt32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(ua.VariantType.Int64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(ua.VariantType.UInt64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(ua.VariantType.Float), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(ua.VariantType.Double), st.floats(allow_nan=False)),
    st.tuples(st.just(ua.VariantType.String), st.text()),
    st.tuples(st.just(ua.VariantType.Null), st.none()),
)
STAMPS = st.none() | MOMENTS
ITEMS = st.tuples(
    st.integers(0, 2**32 - 1), TYPED, st.none() | st.integers(0, 2**32 - 1), STAMPS, STAMPS
)


def item(handle, typed, status, source, server):
    kind, value = typed
    data = ua.DataValue(
        ua.Variant(value, kind), None if status is None else ua.StatusCode(status),
        SourceTimestamp=source, ServerTimestamp=server,
    )  # fmt: skip
    return ua.MonitoredItemNotification(ClientHandle=handle, Value=data)


def response(*parts, sequence=7, available=(), sent=datetime(2026, 1, 2, tzinfo=UTC)):
    whole = ua.PublishResponse()
    whole.Parameters.SubscriptionId = 42
    whole.Parameters.AvailableSequenceNumbers = list(available)
    message = whole.Parameters.NotificationMessage
    message.SequenceNumber, message.PublishTime = sequence, sent
    message.NotificationData = list(parts)
    return struct_to_binary(whole)


@given(st.lists(ITEMS), st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_notifications_decode_to_what_the_drivers_encoder_was_given(items, available):
    data = response(
        ua.DataChangeNotification(MonitoredItems=[item(*i) for i in items]), available=available
    )

    published = decode_publish(data)

    assert published is not None
    assert (published.subscription, published.sequence) == (42, 7)
    assert not published.keep_alive
    assert published.changes == [
        (
            handle, value, status or 0,
            to_ns(source) if source else 0, to_ns(server) if server else 0,
        )
        for handle, (_, value), status, source, server in items
    ]  # fmt: skip


@pytest.mark.parametrize("with_source", [True, False])
@pytest.mark.parametrize("with_server", [True, False])
@pytest.mark.parametrize("with_status", [True, False])
@pytest.mark.parametrize(("code", "value"), [(11, b"\0" * 6 + b"\x28\x40"), (12, b"\1\0\0\0x")])
def test_picoseconds_lie_behind_their_own_time(with_source, with_server, with_status, code, value):
    """As OPC 10000-6 (5.2.2.17) and node-opcua have it; the driver has both behind both times."""
    source, server = (ns_to_ticks(t * 10**18).to_bytes(8, "little") for t in (1, 2))
    mask = 1 | with_status * 2 | with_source * 20 | with_server * 40
    body = struct.pack("<iIBB", 1, 9, mask, code) + value
    body += with_status * struct.pack("<I", 0x4090_0000)
    body += with_source * (source + b"\xcc\x10") + with_server * (server + b"\xaa\xaa")
    empty = response(ua.DataChangeNotification())
    plain = struct.pack("<i", 8) + struct.pack("<ii", 0, 0)  # its length, no items, no diagnostics
    assert plain in empty
    data = empty.replace(plain, struct.pack("<i", len(body) + 4) + body + struct.pack("<i", 0))

    (change,) = decode_publish(data).changes

    assert change == (
        9, 12.0 if code == 11 else "x", 0x4090_0000 if with_status else 0,
        10**18 if with_source else 0, 2 * 10**18 if with_server else 0,
    )  # fmt: skip


@given(st.lists(ITEMS))
def test_values_read_decode_to_what_the_drivers_encoder_was_given(items):
    whole = ua.ReadResponse()
    whole.Results = [item(*each).Value for each in items]
    assert decode_read(struct_to_binary(whole)) == [
        (
            value, status or 0, to_ns(source) if source else 0, to_ns(server) if server else 0,
        )
        for _, (_, value), status, source, server in items
    ]  # fmt: skip


def test_a_read_that_is_unusual_or_refused_is_left_to_the_driver():
    whole = ua.ReadResponse()
    whole.Results = [ua.DataValue(ua.Variant([1.0], ua.VariantType.Double))]
    assert decode_read(struct_to_binary(whole)) is None
    whole.Results = []
    whole.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyOperations)
    assert decode_read(struct_to_binary(whole)) is None


@given(st.binary(max_size=200))
def test_noise_read_never_raises(noise):
    decode_read(b"\x01\x00\x7a\x02" + noise)


def test_several_parts_of_one_message_keep_their_order():
    now = datetime(2026, 5, 4, tzinfo=UTC)
    first, second = (
        ua.DataChangeNotification(
            MonitoredItems=[item(i, (ua.VariantType.Double, float(i)), 0, now, now)]
        )
        for i in (1, 2)
    )
    assert [c[0] for c in decode_publish(response(first, second)).changes] == [1, 2]


def test_nan_is_passed_on_as_it_came():
    data = response(
        ua.DataChangeNotification(
            MonitoredItems=[item(1, (ua.VariantType.Double, math.nan), 0, None, None)]
        )
    )
    assert math.isnan(decode_publish(data).changes[0][1])


def test_a_keep_alive_has_no_changes_and_says_so():
    published = decode_publish(response(sequence=9, sent=datetime(2026, 1, 2, 3, tzinfo=UTC)))
    assert published.keep_alive
    assert (published.sequence, published.changes, published.status) == (9, [], None)
    assert published.time == to_ns(datetime(2026, 1, 2, 3, tzinfo=UTC))


def test_the_end_of_a_subscription_is_told_by_its_status():
    ended = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    published = decode_publish(response(ended))
    assert published.status == ua.StatusCodes.BadTimeout
    assert not published.keep_alive


@pytest.mark.parametrize(
    "value",
    [
        ua.Variant([1.0, 2.0], ua.VariantType.Double),
        ua.Variant(datetime(2026, 1, 1, tzinfo=UTC), ua.VariantType.DateTime),
        ua.Variant(ua.LocalizedText("Kessel"), ua.VariantType.LocalizedText),
        ua.Variant(b"bytes", ua.VariantType.ByteString),
    ],
    ids=["array", "time", "localized text", "bytes"],
)
def test_what_is_unusual_is_left_to_the_driver(value):
    odd = ua.MonitoredItemNotification(ClientHandle=1, Value=ua.DataValue(value))
    assert decode_publish(response(ua.DataChangeNotification(MonitoredItems=[odd]))) is None


def history(*results):
    """A HistoryReadResponse as the driver encodes it: status, continuation point, items."""
    whole = ua.HistoryReadResponse()
    whole.Results = [
        ua.HistoryReadResult(
            StatusCode=ua.StatusCode(status),
            ContinuationPoint=point,
            HistoryData=ua.HistoryData(DataValues=[item(*i).Value for i in items]),
        )
        for status, point, items in results
    ]
    return struct_to_binary(whole)


RESULTS = st.tuples(
    st.integers(0, 2**32 - 1), st.none() | st.binary(max_size=8), st.lists(ITEMS, max_size=3)
)


@given(st.lists(RESULTS, max_size=3))
def test_a_history_decodes_to_what_the_drivers_encoder_was_given(results):
    decoded = decode_history(history(*results))
    assert [(r.status, r.continuation) for r in decoded] == [(s, p or b"") for s, p, _ in results]
    for (_, _, items), result in zip(results, decoded, strict=True):
        as_changes = decode_publish(
            response(ua.DataChangeNotification(MonitoredItems=[item(*i) for i in items]))
        ).changes
        assert result.values == [tuple(stamped) for _, *stamped in as_changes]


@given(st.binary(max_size=200))
def test_noise_instead_of_a_history_never_raises(noise):
    decode_history(b"\x01\x00\x9b\x02" + noise)


@given(st.lists(ITEMS, min_size=1, max_size=3), st.data())
def test_a_changed_byte_in_a_history_never_raises(items, data):
    whole = bytearray(history((0, b"more", items)))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    decode_history(bytes(whole))


@given(st.lists(ITEMS, min_size=1, max_size=3), st.data())
def test_a_message_cut_short_is_never_decoded(items, data):
    whole = response(ua.DataChangeNotification(MonitoredItems=[item(*i) for i in items]))
    start_of_trailer = len(whole) - 8  # results and diagnostics, which are not looked at
    cut = data.draw(st.integers(0, start_of_trailer - 1))
    assert decode_publish(whole[:cut]) is None


@given(st.binary(max_size=200))
def test_noise_never_raises(noise):
    decode_publish(b"\x01\x00\x3d\x03" + noise)


@given(st.lists(ITEMS, min_size=1, max_size=3), st.data())
def test_a_changed_byte_never_raises(items, data):
    whole = bytearray(response(ua.DataChangeNotification(MonitoredItems=[item(*i) for i in items])))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    decode_publish(bytes(whole))


@given(MOMENTS)
def test_times_keep_their_hundred_nanoseconds(moment):
    nanoseconds = to_ns(moment) + 100
    assert ticks_to_ns(ns_to_ticks(nanoseconds)) == nanoseconds


def test_the_epoch_of_windows_counts_as_no_time():
    assert ticks_to_ns(0) == 0


def test_an_overflow_is_told_from_other_info_bits():
    assert overflowed(0x0000_0480)
    assert overflowed(0x4000_0480)
    assert not overflowed(0x0000_0400)
    assert not overflowed(0x0000_0080)
    assert without_overflow(0x4090_0480) == 0x4090_0000


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("ns=2;s=Boiler1.SteamFlow", Node(2, "s", "Boiler1.SteamFlow")),
        ("i=2258", Node(0, "i", 2258)),
        ("ns=3;i=7", Node(3, "i", 7)),
        ("nsu=urn:boiler;s=FT101.PV", Node("urn:boiler", "s", "FT101.PV")),
        ("nsu=http://a.b/c%3Bd;i=1", Node("http://a.b/c;d", "i", 1)),
        ('ns=3;s="DB 1"."x;y=2"', Node(3, "s", '"DB 1"."x;y=2"')),
        ("ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
         Node(1, "g", "09087e75-8e5e-499b-954f-f2a9603db28a")),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", Node(1, "b", "M/RbKBsRVkePCePcx24oRA==")),
    ],
)  # fmt: skip
def test_node_ids_read_as_the_specification_writes_them(text, node):
    assert parse_node(text) == node
    assert str(node) == text


@given(
    st.integers(0, 65535) | st.text(min_size=1).filter(lambda t: "\n" not in t),
    st.text(min_size=1).filter(lambda t: "\n" not in t),
)
def test_a_printed_node_id_reads_back(namespace, identifier):
    node = Node(namespace, "s", identifier)
    assert parse_node(str(node)) == node


@pytest.mark.parametrize(
    "text",
    ["", "FT101", "ns=2", "ns=2;", "ns=2;s=", "ns=x;s=a", "ns=70000;i=1", "i=abc", "i=-1",
     "i=4294967296", "g=123", "svr=1;i=85", "ns=2;q=1"],
)  # fmt: skip
def test_what_is_no_node_id_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match=r"node id|index|number|GUID") as caught:
        parse_node(text)
    assert repr(text)[1:-1] in str(caught.value)


def test_names_are_told_from_node_ids():
    assert looks_like_node("ns=2;s=x")
    assert not looks_like_node("steam_flow")
