"""What a reader was last done with: known again over connections, brokers and restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.window import Memory, Window


def message(
    number: int, topic: str = "a", *, qos: int = 1, dup: bool = False, text: str = ""
) -> Message:
    payload = (text or f"payload {number}").encode()
    return Message(topic=topic, payload=payload, qos=qos, duplicate=dup, packet_id=number)


def memory_of(size: int) -> Memory:
    """One that is connected."""
    memory = Memory(size)
    memory.begin("broker", session_present=True)
    return memory


MESSAGES = st.lists(
    st.builds(
        message,
        st.integers(1, 9) | st.integers(1, 65_535),
        st.sampled_from(["a", "b/c"]),
        qos=st.sampled_from([1, 2]),
        text=st.text(max_size=9),
    ),
    max_size=30,
)


@given(MESSAGES, st.integers(1, 12))
def test_a_window_survives_as_bytes(messages, size) -> None:
    memory, again = memory_of(size), Memory(size)
    for one in messages:
        memory.window.add(one)
        memory.window.settle(one.packet_id)
    data = memory.to_bytes(memory.window)
    again.load(data)
    again.begin("broker", session_present=True)
    assert again.to_bytes(again.window) == data
    ids = {qos: {m.packet_id for m in messages if m.qos == qos} for qos in (1, 2)}
    assert len(again.window) == min(size, len(ids[1])) + len(ids[2])


@given(MESSAGES, MESSAGES, st.sets(st.integers(1, 9)), st.integers(1, 12))
def test_bytes_tell_a_window_as_it_will_be(have, more, without, size) -> None:
    memory, expected = memory_of(size), memory_of(size)
    for one in have:
        memory.window.add(one)
        expected.window.add(one)
    now = memory.to_bytes(memory.window)
    expected.window.release(without)
    for one in more:
        expected.window.add(one)
    assert memory.to_bytes(memory.window, more, without) == expected.to_bytes(expected.window)
    assert memory.to_bytes(memory.window) == now, "it has only been looked at"


@given(st.binary(max_size=100) | st.binary(max_size=100).map(b"\x02".__add__))
def test_foreign_bytes_are_ignored_or_understood(data: bytes) -> None:
    memory = Memory(10)
    memory.load(data)
    for broker in ("one", "another"):
        memory.begin(broker, session_present=True)
        assert len(memory.window) <= len(data) // 8


def test_what_an_earlier_version_has_kept_is_that_of_the_first_broker() -> None:
    memory = memory_of(5)
    memory.window.add(message(7))
    old = b"\x01" + memory.to_bytes(memory.window)[12:]
    again = Memory(5)
    again.load(old)
    again.begin("any", session_present=True)
    assert again.window.knows(message(7, dup=True))
    again.begin("another", session_present=True)
    assert not again.window.knows(message(7, dup=True))


def test_bytes_cut_anywhere_are_ignored() -> None:
    memory = memory_of(5)
    for number in range(1, 7):
        memory.window.add(message(number, qos=1 + number % 2))
    memory.window.release([3])
    data = memory.to_bytes(memory.window)
    for size in range(1, len(data)):
        again = Memory(5)
        again.load(data[:size])
        again.begin("broker", session_present=True)
        assert len(again.window) == 0


def test_connections_that_end_early_one_after_the_other_are_all_remembered() -> None:
    """mosquitto sends all unacknowledged ones again, and a receive maximum of new ones besides."""
    window = Window(5)
    for session in range(4):
        window.begin()
        assert all(window.knows(message(number + 1, dup=True)) for number in range(5 * session))
        for number in range(5 * session, 5 * session + 5):
            window.add(message(number + 1))
    assert len(window) == 20


def test_what_is_not_sent_again_was_acknowledged_and_makes_room() -> None:
    window = Window(5)
    for number in range(1, 6):
        window.add(message(number))
    window.begin()
    assert window.knows(message(5, dup=True)), "the first four had been acknowledged"
    for number in range(6, 11):
        window.add(message(number))
    assert [n for n in range(1, 11) if window.knows(message(n, dup=True))] == [5, 6, 7, 8, 9, 10]


def test_what_is_not_settled_is_remembered_whole_and_what_is_makes_room() -> None:
    window = Window(5)
    for number in range(1, 9):
        window.add(message(number))
    assert len(window) == 8
    for number in range(1, 5):
        window.settle(number)
    window.add(message(9))
    assert [n for n in range(1, 10) if window.knows(message(n, dup=True))] == [5, 6, 7, 8, 9]


def test_what_did_not_come_again_before_the_first_new_message_was_acknowledged() -> None:
    window = Window(5)
    for number in range(1, 9):
        window.add(message(number))
    window.begin()
    window.add(message(9))
    assert len(window) == 5


def test_a_full_window_is_a_few_kilobytes() -> None:
    memory = memory_of(500)
    for number in range(1, 1000):
        memory.window.add(message(number))
        memory.window.settle(number)
    assert len(memory.to_bytes(memory.window)) == 12 + 500 * 8


# ---- QoS 2 --------------------------------------------------------------------------------------


def test_a_message_with_qos_2_is_known_until_its_identifier_is_released_flagged_or_not() -> None:
    window = Window(1)
    for number in range(1, 50):
        window.add(message(number, qos=2))
    for dup in (True, False):
        assert all(window.knows(message(n, qos=2, dup=dup)) for n in range(1, 50))
    window.begin()
    assert window.holds(49)
    window.release([49, 50])
    assert not window.holds(49)
    assert not window.knows(message(49, qos=2))
    assert window.knows(message(48, qos=2))


def test_what_a_broker_sends_again_though_it_was_released_is_known_until_it_has_our_word() -> None:
    window = Window(1)
    for number in (1, 2):
        window.replaced(message(number, qos=2))
        window.add(message(number, qos=2))
    window.release([1, 2])
    assert list(window.completed) == [1, 2]
    window.settle(2)
    assert window.knows(message(1, qos=2, dup=True))
    assert window.holds(1), "and it is released anew"
    assert not window.knows(message(2, qos=2, dup=True))
    assert not window.knows(message(1, qos=2, dup=True, text="another"))


def test_of_a_broker_that_uses_identifiers_again_at_once_a_released_one_may_be_another() -> None:
    memory = memory_of(1)
    for number in (1, 2, 1):
        memory.window.replaced(message(number, qos=2))
        memory.window.add(message(number, qos=2))
        memory.window.release([number])
    again = Memory(1)
    again.load(memory.to_bytes(memory.window))
    again.begin("broker", session_present=True)
    assert not again.window.knows(message(1, qos=2, dup=True))
    again.begin("broker", session_present=False)
    again.window.add(message(1, qos=2))
    again.window.release([1])
    assert again.window.knows(message(1, qos=2, dup=True)), "of the new session nothing is known"


def test_identifiers_that_begin_anew_after_the_last_one_are_not_used_again_at_once() -> None:
    window = Window(1)
    for number in (65_534, 65_535, 1, 2):
        window.replaced(message(number, qos=2))
        window.add(message(number, qos=2))
        window.release([number])
    assert window.knows(message(2, qos=2, dup=True))


def test_another_content_under_an_identifier_that_is_not_released_is_not_lost() -> None:
    window = Window(1)
    window.add(message(1, qos=2))
    assert not window.knows(message(1, qos=2, text="another", dup=True))
    assert not window.knows(message(1, "b", qos=2, text="payload 1", dup=True))


def test_the_same_identifier_with_another_qos_is_another_message() -> None:
    window = Window(5)
    window.add(message(1, qos=2))
    assert not window.knows(message(1, dup=True))
    window.replaced(message(1))
    assert not window.holds(1), "it is used for a message with QoS 1: it was released"
    window.add(message(1))
    assert not window.knows(message(1, qos=2, dup=True))
    window.replaced(message(1, qos=2))
    assert not window.knows(message(1, dup=True))


def test_the_only_broker_is_remembered_wherever_it_is_and_is_the_first_of_several() -> None:
    memory = Memory(5)
    memory.begin("", session_present=True)
    memory.window.add(message(1, qos=2))
    again = Memory(5)
    again.load(memory.to_bytes(memory.window))
    again.begin("one", session_present=True)
    assert again.window.holds(1)
    again.begin("another", session_present=True)
    assert not again.window.holds(1)


def test_what_is_loaded_late_is_that_of_the_broker_that_is_there() -> None:
    memory = Memory(5)
    memory.begin("", session_present=True)
    memory.window.add(message(1, qos=2))
    again = Memory(5)
    again.begin("one", session_present=True)
    again.load(memory.to_bytes(memory.window))
    assert again.window.holds(1)


def test_each_broker_has_identifiers_of_its_own_also_after_a_restart() -> None:
    memory = Memory(5)
    for broker in ("one", "another"):
        memory.begin(broker, session_present=True)
        memory.window.add(message(1, qos=2, text=broker))
    again = Memory(5)
    again.load(memory.to_bytes(memory.window))
    for broker in ("one", "another"):
        again.begin(broker, session_present=True)
        assert [again.window.knows(message(1, qos=2, text=b)) for b in ("one", "another")] == [
            broker == "one", broker == "another",
        ]  # fmt: skip
    again.begin("one", session_present=False)
    assert not again.window.holds(1), "it has begun anew"
    again.begin("another", session_present=True)
    assert again.window.holds(1)


def test_of_many_brokers_the_latest_are_remembered() -> None:
    memory = Memory(5)
    for number in range(100):
        memory.begin(f"broker {number}", session_present=True)
        memory.window.add(message(1))
    assert len(memory.to_bytes(memory.window)) == 1 + 8 * (11 + 8)


def test_what_was_taken_in_a_session_that_is_gone_says_nothing_of_the_new_one() -> None:
    memory = memory_of(5)
    taken_in = memory.window
    memory.begin("broker", session_present=False)
    taken_in.add(message(1, qos=2))
    assert not memory.window.holds(1)
    assert memory.to_bytes(taken_in, [message(2, qos=2)]) == memory.to_bytes(memory.window)
