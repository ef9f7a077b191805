"""Which nodes of a session are looked at again, by what they deliver."""

import pytest

from gl002.transport.opc_ua.identity import Doubts

UNKNOWN = 0x8034_0000


@pytest.fixture
def doubts():
    doubts = Doubts(2)
    for handle in (0, 1):
        doubts.other_kind(handle, 1.5)
    assert not doubts.any
    return doubts


def test_a_value_of_another_kind_is_looked_at_once(doubts):
    doubts.other_kind(0, "high")
    assert doubts.take() == ({}, [0])
    doubts.other_kind(0, 2.5)
    assert not doubts.any, "a node that was the same is one of several kinds"


def test_no_value_at_all_says_nothing_of_its_kind(doubts):
    doubts.other_kind(0, None)
    assert not doubts.any
    assert doubts.kinds[0] is float


def test_a_node_that_was_refused_is_looked_at_with_each_value_that_still_comes(doubts):
    doubts.other_kind(0, "high")
    doubts.take()
    for value in ("higher", "highest"):
        doubts.refused(0)
        doubts.other_kind(0, value)
        assert doubts.take() == ({}, [0])


def test_a_node_that_is_gone_is_asked_for_and_looked_at_when_it_is_back(doubts):
    doubts.gone(1, UNKNOWN)
    gone, unlike = doubts.take()
    assert (gone[1].status, unlike) == (UNKNOWN, [])
    doubts.other_kind(1, 1.5)
    assert doubts.take() == ({}, [1])
    doubts.gone(1, UNKNOWN)
    assert list(doubts.take()[0]) == [1], "it may go again"


def test_a_server_that_watches_what_it_does_not_have_is_not_asked_again_and_again(doubts):
    doubts.gone(1, UNKNOWN)
    doubts.take()
    doubts.gone(1, UNKNOWN)
    assert not doubts.any
