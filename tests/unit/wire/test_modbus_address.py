import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError
from gl002.wire.modbus_address import Place, locate

TABLES = ["coil", "discrete", "holding", "input"]


@pytest.mark.parametrize(
    ("number", "table", "address"),
    [
        (40001, "holding", 0),
        (40003, "holding", 2),
        (49999, "holding", 9998),
        (400001, "holding", 0),
        (465536, "holding", 65535),
        (30001, "input", 0),
        (365536, "input", 65535),
        (10001, "discrete", 0),
        (165536, "discrete", 65535),
        ("00001", "coil", 0),
        ("09999", "coil", 9998),
        ("065536", "coil", 65535),
        ("40001", "holding", 0),
        (1000, "holding", 1000),
        (0, "holding", 0),
        (9999, "holding", 9999),
        (40000, "holding", 40000),
        (20000, "holding", 20000),
        (65535, "holding", 65535),
        ("1000", "holding", 1000),
    ],
)
def test_a_number_alone_means(number, table, address):
    assert locate(number) == Place(table, address)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("address", [0, 1, 1000, 9999, 20000, 40000, 60000, 65535])
def test_a_plain_number_is_the_protocol_address_in_the_table_of_the_type(table, address):
    assert locate(address, table) == Place(table, address)


@given(address=st.integers(0, 65535), table=st.sampled_from(TABLES))
def test_every_place_has_a_reference_number_that_means_it(address, table):
    place = Place(table, address)
    assert locate(place.reference) == place
    assert locate(place.reference, table) == place
    assert place.reference in str(place)


@pytest.mark.parametrize(
    ("number", "table"),
    [(40001, "input"), (30005, "holding"), (12000, "holding"), ("00001", "holding")],
)
def test_a_reference_number_that_contradicts_the_type_is_refused_with_both_ways_out(number, table):
    with pytest.raises(ConfigError) as caught:
        locate(number, table)
    assert "address_base: 0" in caught.value.hint
    assert "type:" in caught.value.hint


@given(address=st.integers(0, 65535), table=st.sampled_from(TABLES))
def test_with_a_base_nothing_is_ambiguous(address, table):
    assert locate(address, table, 0) == Place(table, address)
    assert locate(address + 1, table, 1) == Place(table, address)
    assert locate(address, None, 0).table == "holding"


@pytest.mark.parametrize(
    "wrong", [-1, 65536, 70001, 99999, 465537, 1_000_000, "", "4x001", "-1", True, 1.5, None]
)
def test_what_is_no_register_number_is_refused(wrong):
    with pytest.raises(ConfigError, match="no register number"):
        locate(wrong)


@pytest.mark.parametrize(("wrong", "base"), [(0, 1), (65537, 1), (65536, 0), ("40001x", 0)])
def test_a_base_has_its_range_too(wrong, base):
    with pytest.raises(ConfigError, match="no register number"):
        locate(wrong, "holding", base)
