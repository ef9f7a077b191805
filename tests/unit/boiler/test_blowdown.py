import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import blowdown, steam
from gl002.errors import DataError
from gl002.units import convert
from unit.boiler.published import case, wanted


def test_cycles_and_blowdown_are_those_of_the_manual():
    each = case("ufc-coc")
    i = each["inputs"]
    flow = blowdown.flow_from_solids(i["steam_lb_h"], i["boiler_umho"], i["feed_umho"])
    values = {
        "coc": blowdown.cycles(i["boiler_umho"], i["feed_umho"]),
        "blowdown_lb_h": flow,
        "feedwater_lb_h": i["steam_lb_h"] + flow,
        "blowdown_pct_feedwater": blowdown.percent(i["steam_lb_h"], flow, basis="feedwater"),
    }
    for key, (published, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(published, abs=tolerance)
        assert values[key] == pytest.approx(each["recomputed"][key])


def test_heat_of_blowdown_is_that_of_first_principles():
    """The tip sheet itself mixes percent of steam with percent of feedwater."""
    each = case("doe-tip10")
    i = each["inputs"]
    heat = blowdown.lost_heat(
        convert(i["blowdown_lb_h"], "lb/hr", "kg/s"), convert(i["p_psig"], "psig", "MPa(a)"),
        convert(60, "degF", "degC"),
    )  # fmt: skip
    saved = convert(heat, "kW", "MMBtu/hr") * i["recovery"] / i["efficiency"] * i["hours"]
    values = {
        "blowdown_ratio_pct": blowdown.percent(
            i["steam_lb_h"], i["blowdown_lb_h"], basis="feedwater"
        ),
        "saved_MMBtu_yr": saved,
        "saved_usd_yr": saved * i["price_usd_MMBtu"],
    }
    for key, (expected, tolerance) in wanted(each).items():
        assert values[key] == pytest.approx(expected, abs=tolerance), key
        assert values[key] == pytest.approx(each["recomputed"][key], rel=2e-4)


def test_a_percentage_of_feedwater_is_more_than_one_of_steam():
    assert blowdown.flow(100.0, 6.0, basis="steam") == pytest.approx(6.0)
    assert blowdown.flow(100.0, 6.0, basis="feedwater") == pytest.approx(6.383, abs=1e-3)


@given(st.floats(0, 50), st.sampled_from(["feedwater", "steam"]), st.floats(0.1, 100))
def test_flow_and_percentage_lead_to_each_other(percent, basis, steam_flow):
    flow = blowdown.flow(steam_flow, percent, basis=basis)
    assert blowdown.percent(steam_flow, flow, basis=basis) == pytest.approx(percent, abs=1e-9)


@given(st.floats(0.1, 100), st.floats(1.0, 500), st.floats(1.5, 100))
def test_salts_that_come_in_go_out(steam_flow, feed, concentration):
    boiler = feed * concentration
    flow = blowdown.flow_from_solids(steam_flow, boiler, feed)
    assert (steam_flow + flow) * feed == pytest.approx(flow * boiler)


@given(st.floats(0.3, 10.0), st.floats(5.0, 25.0), st.booleans())
def test_what_is_recovered_and_what_is_lost_are_all_there_was(pressure, makeup, flash):
    found = blowdown.recovery(
        1.0, pressure, makeup, flash_pressure=0.12 if flash else None, approach=10.0
    )
    assert found.recovered + found.lost_heat == pytest.approx(
        blowdown.lost_heat(1.0, pressure, makeup), rel=1e-9
    )
    assert found.lost_heat < 0.15 * found.recovered or pressure < 0.5
    assert (found.flash_share > 0) == flash


def test_the_flash_share_is_that_of_the_enthalpies():
    drum, tank = steam.by_dryness(1.1, 0), steam.by_dryness(0.12, 0)
    vapour = steam.saturated(0.12)
    share = (drum.enthalpy - tank.enthalpy) / (vapour.enthalpy - tank.enthalpy)
    assert blowdown.recovery(1.0, 1.1, 15.0, flash_pressure=0.12).flash_share == pytest.approx(
        share
    )
    assert share == pytest.approx(0.152, abs=0.002)


REFUSED = {
    "cannot be concentrated": lambda: blowdown.cycles(100, 250),
    "blowdown 60 % is outside": lambda: blowdown.flow(1.0, 60, basis="steam"),
    "is no share": lambda: blowdown.percent(0.0, 1.0, basis="steam"),
    "no flash": lambda: blowdown.recovery(1.0, 1.0, 15.0, flash_pressure=1.2),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(reason):
    with pytest.raises(DataError, match=reason):
        REFUSED[reason]()
