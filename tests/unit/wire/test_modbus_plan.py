import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gl002.wire.modbus_plan import Learned, Request, around, plan

SIZE = 14  # registers of the small world that is searched whole

spans = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 3)).filter(lambda s: sum(s) <= SIZE),
    min_size=1,
    max_size=6,
)
walls = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 3)).map(lambda w: range(w[0], sum(w))),
    max_size=2,
)


def registers(span):
    return set(range(span[0], sum(span)))


def readable(wanted, forbidden):
    return [s for s in wanted if not registers(s) & {r for wall in forbidden for r in wall}]


def is_legal(window, wanted, most, gap, forbidden):
    """No longer than most (or than a span it equals), nothing forbidden, no wide hole."""
    asked = set(range(*window))
    longest = max((count for _, count in wanted), default=0)
    if window[1] - window[0] > most and not (
        window[1] - window[0] <= longest and (window[0], window[1] - window[0]) in wanted
    ):
        return False
    if asked & {r for wall in forbidden for r in wall}:
        return False
    needed = {r for s in readable(wanted, forbidden) for r in registers(s)}
    run = 0
    for register in range(*window):
        run = 0 if register in needed else run + 1
        if run > gap:
            return False
    return True


def fewest(wanted, most, gap, forbidden):
    """By trying every set of legal requests, smallest first."""
    targets = readable(wanted, forbidden)
    windows = [
        window
        for window in itertools.combinations(range(SIZE + 1), 2)
        if is_legal(window, wanted, most, gap, forbidden)
    ]
    reads = {
        frozenset(i for i, s in enumerate(targets) if registers(s) <= set(range(*window)))
        for window in windows
    }
    reached = {frozenset()}
    for number in range(len(targets) + 1):
        if frozenset(range(len(targets))) in reached:
            return number
        reached = {have | more for have in reached for more in reads}
    raise AssertionError("some span cannot be read at all")


@settings(max_examples=400, deadline=None)
@given(wanted=spans, most=st.integers(1, 6), gap=st.integers(0, 4), forbidden=walls)
@example(wanted=[(0, 1), (4, 3), (5, 1)], most=6, gap=4, forbidden=[])
@example(wanted=[(0, 2), (3, 2)], most=6, gap=4, forbidden=[range(2, 3)])
def test_no_set_of_legal_requests_is_smaller(wanted, most, gap, forbidden):
    requests, lost = plan(wanted, most=most, gap=gap, forbidden=forbidden)
    assert len(requests) == fewest(wanted, most, gap, forbidden)
    for request in requests:
        window = (request.start, request.start + request.length)
        assert is_legal(window, wanted, most, gap, forbidden), request
    assert sorted(wanted[i] for i in lost) == sorted(
        s for s in wanted if s not in readable(wanted, forbidden)
    )


addresses = st.tuples(st.integers(0, 60_000), st.integers(1, 4))


@given(
    wanted=st.lists(addresses, min_size=1, max_size=200),
    most=st.integers(4, 125), gap=st.integers(0, 50),
    forbidden=st.lists(st.integers(0, 60_000).map(lambda a: range(a, a + 5)), max_size=20),
)  # fmt: skip
def test_every_span_is_read_whole_exactly_once_within_all_limits(wanted, most, gap, forbidden):
    requests, lost = plan(wanted, most=most, gap=gap, forbidden=forbidden)
    members = [i for request in requests for i in request.members]
    assert sorted(members + lost) == list(range(len(wanted)))
    for request in requests:
        end = request.start + request.length
        assert 0 < request.length <= most
        assert not any(wall.start < end and request.start < wall.stop for wall in forbidden)
        for i in request.members:
            assert request.start <= wanted[i][0]
            assert sum(wanted[i]) <= end


def test_the_guide_reads_three_neighbours_with_one_request():
    assert plan([(0, 1), (1, 1), (2, 1)], most=125, gap=0) == ([Request(0, 3, [0, 1, 2])], [])


def test_a_request_never_asks_for_more_than_the_protocol_allows():
    requests, _ = plan([(i, 1) for i in range(1000)], most=125, gap=0)
    assert [request.length for request in requests] == [125] * 8


def test_a_span_longer_than_the_limit_gets_a_request_of_its_own():
    requests, _ = plan([(0, 1), (1, 60), (61, 1)], most=50, gap=10)
    assert [(r.start, r.length) for r in requests] == [(0, 1), (1, 60), (61, 1)]


def test_a_thousand_registers_are_planned_in_no_time_worth_mentioning():
    requests, _ = plan([(3 * i, 2) for i in range(20_000)], most=125, gap=16)
    assert len(requests) == 477


def test_what_was_refused_is_remembered_until_it_is_forgotten():
    learned = Learned()
    assert not learned
    learned.forbid("holding", 10, 2)
    assert learned.forbidden("holding") == [range(10, 12)]
    assert learned.forbidden("input") == []
    assert learned.version == 1
    learned.forget()
    assert not learned
    assert learned.version == 2


def test_two_halves_that_answer_blame_the_hole_between_them():
    learned = Learned()
    learned.both_halves_answered("holding", around([0], [(0, 4)]), around([0], [(9, 3)]))
    assert learned.forbidden("holding") == [range(4, 9)]
    assert learned.most("holding", 125) == 125


def test_two_halves_without_a_hole_blame_the_length():
    learned = Learned()
    learned.both_halves_answered("holding", around([0], [(0, 60)]), around([0], [(60, 50)]))
    assert learned.forbidden("holding") == []
    assert learned.most("holding", 125) == 60
    assert learned.most("input", 125) == 125


def test_a_table_the_device_does_not_know_is_forbidden_whole():
    learned = Learned()
    learned.forbid_all("input")
    assert learned.all_forbidden("input")
    assert not learned.all_forbidden("holding")
    assert plan([(0, 1), (65535, 1)], most=9, gap=0, forbidden=learned.forbidden("input")) == (
        [],
        [0, 1],
    )


def test_what_the_configuration_forbids_is_never_forgotten():
    learned = Learned({"holding": [range(5, 9)]})
    learned.forbid("holding", 20, 1)
    assert learned.forbidden("holding") == [range(5, 9), range(20, 21)]
    learned.forget()
    assert learned.forbidden("holding") == [range(5, 9)]
