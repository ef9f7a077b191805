import doctest
import pickle
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gl002.units
from gl002.errors import ConfigError
from gl002.units import (
    STANDARD_ATMOSPHERE,
    Linear,
    UnitError,
    _basis,
    conversion,
    convert,
    from_unece,
    same_dimension,
    to_unece,
    unit,
    units,
)

ALL = [each.name for each in units()]
FUEL = [each.name for each in units() if re.search(r"energy|power", each.dimension)]

names = st.sampled_from(ALL + [f"{name} ({basis})" for name in FUEL for basis in ("HHV", "LHV")])
numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        # NIST SP 811 (2008), appendix B, unless said otherwise
        (50_000, "lb/hr", "kg/s", 6.299_894),
        (1, "klb/hr", "t/h", 0.453_592_37),
        (212, "degF", "degC", 100),
        (-40, "degF", "degC", -40),
        (0, "degC", "K", 273.15),
        (491.67, "degR", "degC", 0),
        (90, "delta_degF", "delta_degC", 50),
        (0, "psig", "psia", 14.695_95),
        (600, "psig", "bar(g)", 41.368_54),
        (600, "psig", "bar(a)", 42.381_79),
        (-0.5, "bar(g)", "kPa(a)", 51.325),
        (1, "kg/cm2(g)", "kPa(g)", 98.066_5),
        (1, "inH2O", "Pa", 249.088_9),
        (10, "mmH2O", "Pa", 98.066_5),
        (1, "atm", "psi", 14.695_95),
        (18_500, "Btu/lb (HHV)", "MJ/kg (HHV)", 43.031),
        (1, "boiler hp", "kW", 9.8095),  # SP 811: 9.809 50 E+03 W
        (1, "MMBtu/hr", "kW", 293.071_1),
        (1, "hp", "W", 745.699_9),
        (1, "therm", "MJ", 105.505_6),
        (1, "gal/min", "m3/h", 0.227_124_7),
        (1, "ft3/min", "m3/s", 4.719_474e-4),
        (1, "Nm3", "Sm3", 288.15 / 273.15),  # ISO 13443
        (1, "Nm3/h", "scfh", 37.325),  # ideal gas, from 32 degF to 60 degF and 14.696 psia
        (1_000, "Btu/scf (HHV)", "MJ/Sm3 (HHV)", 37.33),
        (1, "%", "ppm", 10_000),
        (70, "gr/lb", "kg/kg", 0.01),
        (1_000, "uS/cm", "mS/cm", 1),
        (117, "lb/MMBtu", "kg/GJ", 50.30),
        (3_500, "ppm TDS", "mg/L", 3_500),
    ],
)
def test_values_convert_as_in_the_tables(value, source, target, expected):
    assert convert(value, source, target) == pytest.approx(expected, rel=2e-5)
    assert convert(expected, target, source) == pytest.approx(value, rel=2e-5, abs=1e-4)


@given(names, names, numbers)
def test_there_and_back_gives_the_value(source, target, value):
    if same_dimension(source, target):
        back = conversion(source, target).then(conversion(target, source))
        scale = max(abs(value), abs(convert(0, target, source)), 1)
        assert abs(back(value) - value) <= 1e-9 * scale


@given(names, names, names, numbers)
def test_the_way_round_by_a_third_unit_gives_the_same(one, two, three, value):
    if same_dimension(one, two) and same_dimension(two, three):
        round_about = convert(convert(value, one, two), two, three)
        straight = convert(value, one, three)
        scale = max(abs(straight), abs(convert(0, one, three)), abs(convert(0, two, three)))
        assert abs(round_about - straight) <= 1e-9 * scale + 1e-12


@given(names, names)
def test_units_convert_exactly_where_their_dimension_is_the_same_or_gauge_and_absolute(one, other):
    dimensions = {unit(one).dimension, unit(other).dimension}
    convertible = len(dimensions) == 1 or dimensions == {"gauge pressure", "absolute pressure"}
    assert same_dimension(one, other) is same_dimension(other, one) is convertible
    if convertible:
        conversion(one, other)
    else:
        with pytest.raises(UnitError) as refused:
            conversion(one, other)
        message = str(refused.value)
        assert all(text in message for text in (one, other, *dimensions))


def test_a_unit_converts_into_itself_without_a_trace():
    for name in ALL:
        assert conversion(name, name) == Linear(1.0, 0.0)


@given(numbers, numbers, numbers, numbers, numbers)
def test_two_lines_in_one_do_the_same_as_one_after_the_other(a, b, c, d, value):
    first, second = Linear(a, b), Linear(c, d)
    expected = second(first(value))
    assert first.then(second)(value) == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_an_array_converts_element_by_element():
    converted = conversion("degF", "degC")(np.array([32.0, 212.0]))
    assert converted == pytest.approx([0.0, 100.0])


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [
        ("psig", "kPa", "write 'kPa(g)' or 'kPa(a)' instead of 'kPa'"),
        ("psi", "psia", "write 'psig' or 'psia' instead of 'psi'"),
        ("degC", "delta_degC", "no zero point"),
        ("kJ/kg (HHV)", "kJ/kg (LHV)", "the fuel's own LHV/HHV ratio"),
        ("MJ/kg", "Btu/lb (HHV)", "'(HHV)' or '(LHV)'"),
        ("m3/h", "Nm3/h", "pressure and temperature"),
        ("ft3", "scf", "pressure and temperature"),
        ("kg/s", "kW", "does not convert"),
        ("Hz", "rpm", "does not convert"),
        ("mg/Nm3", "ppm", "does not convert"),
    ],
)
def test_what_must_not_be_mixed_up_is_refused_with_a_way_out(source, target, hint):
    with pytest.raises(UnitError, match=re.escape(hint)):
        conversion(source, target)


def test_gauge_pressure_is_measured_against_the_stated_atmosphere():
    assert convert(0, "psig", "kPa(a)", atmosphere=84_000) == pytest.approx(84)  # at 1,600 m
    assert convert(84, "kPa(a)", "bar(g)", atmosphere=84_000) == pytest.approx(0)
    assert convert(2, "psig", "psig", atmosphere=84_000) == 2
    assert conversion("psig", "kPa(a)").offset == pytest.approx(STANDARD_ATMOSPHERE / 1000)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("lb/h", "lb/hr"), ("LB/HR", "lb/hr"), ("lbm/hr", "lb/hr"), ("pph", "lb/hr"),
        ("kpph", "klb/hr"), ("kg/hr", "kg/h"), ("kg/sec", "kg/s"), ("t/hour", "t/h"),
        ("PSIG", "psig"), ("psi(g)", "psig"), ("psi abs", "psia"), ("barg", "bar(g)"),
        ("bar g", "bar(g)"), ("bar_g", "bar(g)"), ("bara", "bar(a)"), ("bar(abs)", "bar(a)"),
        ("kPag", "kPa(g)"), ("KPA", "kPa"), ("MPa_a", "MPa(a)"), ("kgf/cm²", "kg/cm2"),
        ("inWC", "inH2O"), ("in H₂O", "inH2O"), ("°F", "degF"), ("deg C", "degC"), ("C", "degC"),
        ("F", "degF"), ("Celsius", "degC"), ("percent", "%"), ("% vol", "%"), ("ppmv", "ppm"),
        ("Nm³/h", "Nm3/h"), ("Sm^3/h", "Sm3/h"), ("SCFH", "scfh"), ("gpm", "gal/min"),
        ("µS/cm", "uS/cm"), ("μS/cm", "uS/cm"), ("MMBTU/hr", "MMBtu/hr"), ("hr", "h"),
        ("mmBtu/hr", "MMBtu/hr"), ("Btu/lb HHV", "Btu/lb (HHV)"), ("kJ/kg [lhv]", "kJ/kg (LHV)"),
        ("MJ/Nm3 (GCV)", "MJ/Nm3 (HHV)"), ("MJ/Nm3 NCV", "MJ/Nm3 (LHV)"), (" psig ", "psig"),
    ],
)  # fmt: skip
def test_the_spellings_of_the_field_are_understood(spelling, name):
    assert unit(spelling).name == name


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("psigg", "did you mean 'psig'?"),
        ("lb/hrr", "did you mean 'lb/hr'?"),
        ("mPa", "did you mean 'MPa'?"),  # milli is not mega
        ("mw", "did you mean 'MW'?"),
        ("M", "did you mean 'm'?"),
        ("psig (HHV)", "did you mean 'psig'?"),
        ("furlong", "docs/reference/units.md"),
        ("", "docs/reference/units.md"),
    ],
)
def test_an_unknown_unit_is_an_error_that_names_the_nearest(wrong, hint):
    with pytest.raises(UnitError, match=re.escape(hint)) as unknown:
        unit(wrong)
    assert f"'{wrong}'" in str(unknown.value)


@pytest.mark.parametrize("name", [" " * 5_000 + "x", "(hhv " * 2_000, "kg" * 100_000])
def test_a_name_of_unreasonable_length_is_refused_without_being_looked_at(name):
    """It may come in a message: looking for a basis in a thousand spaces took 24 s."""
    with pytest.raises(UnitError, match="no unit has so long a name") as unknown:
        unit(name)
    assert len(str(unknown.value)) < 200


@given(st.text(alphabet=" \t()[]hvlHLgcn", max_size=40))
def test_a_basis_is_found_whatever_stands_around_it(text):
    """As the plain reading of it finds it, which is too slow for a long text."""
    plain = re.search(r"\s*[(\[]?\s*(hhv|gcv|lhv|ncv)\s*[)\]]?\s*$", text, re.IGNORECASE)
    before, basis = _basis(text)
    assert before == (text[: plain.start()] if plain else text)
    assert bool(basis) == bool(plain)


def test_a_unit_error_is_a_configuration_error_and_survives_a_process_boundary():
    with pytest.raises(ConfigError) as refused:
        conversion("psig", "K")
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_every_unit_is_found_under_its_own_name_and_no_two_share_one():
    assert len(set(ALL)) == len(ALL)
    assert [unit(name).name for name in ALL] == ALL


@given(st.text(max_size=20))
def test_any_text_is_a_unit_or_a_unit_error(text):
    try:
        found = unit(text)
    except UnitError:
        return
    assert unit(found.name) == found


@pytest.mark.parametrize(
    ("unit_id", "name"),
    [  # OPC Foundation, UNECE_to_OPCUA.csv
        (4408652, "degC"), (4604232, "degF"), (4342098, "bar"), (4935745, "kPa"), (20563, "psi"),
        (14384, "psia"), (4933459, "kg/s"), (4536627, "kg/h"), (13397, "lb/hr"), (5059888, ""),
        (5060912, "klb/hr"), (20529, "%"), (13625, "ppm"), (5067080, "m3/h"), (5321776, "Nm3/h"),
        (4937556, "kW"), (4666418, "uS/cm"), (5066068, "mm"), (4804168, "in"), (5394509, "rpm"),
    ],
)  # fmt: skip
def test_opc_ua_unit_ids_are_known(unit_id, name):
    assert from_unece(unit_id) == name


@given(st.integers(-(2**31), 2**31 - 1))
def test_any_unit_id_gives_a_unit_or_nothing(unit_id):
    name = from_unece(unit_id)
    assert name == "" or unit(name).name == name


def test_unit_ids_go_there_and_back():
    known = [name for name in ALL if to_unece(name) is not None]
    assert len(known) > 90
    assert [from_unece(to_unece(name)) for name in known] == known
    assert to_unece("psig") is None


def test_the_reference_page_lists_exactly_the_units_there_are():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "units.md").read_text()
    listed: dict[str, list[str]] = {}
    for row in re.findall(r"^\| ([^|]+) \| ((?:`[^`]+`,? ?)+)\|", page, re.MULTILINE):
        listed[row[0].strip()] = re.findall(r"`([^`]+)`", row[1])
    there_are: dict[str, list[str]] = {}
    for each in units():
        there_are.setdefault(each.dimension, []).append(each.name)
    assert listed == there_are


def test_no_two_spellings_mean_different_units():
    folded = {}
    for name, change in product(ALL, (str, str.upper, str.lower)):
        try:
            found = unit(change(name)).name
        except UnitError:
            continue  # a leading m that would be milli where mega is meant
        assert folded.setdefault(change(name), found) == found == name


def test_the_examples_in_the_docstrings_are_true():
    results = doctest.testmod(gl002.units)
    assert results.attempted >= 3
    assert results.failed == 0
