"""The commands over history, on a simulated half day that a gateway would have stored."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pypdf
import pytest

from cli.stored_house import CONFIG, START, keep, store
from gl002.boiler.learned import Learned
from gl002.cli import main
from gl002.sim.plant import Plant

DAY = "2026-10-05T00:00+00:00..2026-10-05T12:00+00:00"
MORNING = "2026-10-05T00:00+00:00..2026-10-05T06:00+00:00"
AFTERNOON = ("--since", "2026-10-05T06:00+00:00", "--until", "2026-10-05T12:00+00:00")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Six hours on the burner's own curve, six with 4.5 % of oxygen set by somebody."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "integrations.yaml").write_text(CONFIG)

    def events(plant, time):
        if time == 6 * 3600:
            plant.write("AIC301.SP", 4.5)

    store(folder, 12, events=events)
    return folder


@pytest.fixture(autouse=True)
def _there(house, monkeypatch):
    monkeypatch.chdir(house)
    monkeypatch.setenv("COLUMNS", "200")


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def told(capsys, *arguments: str):
    code, out, err = ran(capsys, *arguments, "--json")
    assert out, err
    return code, json.loads(out.splitlines()[0])


@pytest.fixture
def learned(capsys, house):
    """What the morning teaches; taken away afterwards."""
    code, found = told(capsys, "learn", "boiler1", "--range", MORNING)
    assert code == 0
    yield found
    (house / "state/boilers/boiler1.json").unlink()


def test_losses_add_up_and_have_a_band(capsys):
    code, found = told(capsys, "losses", "--range", DAY)
    assert code == 0
    efficiency = found["efficiency_hhv"]
    lost = sum(found["losses"].values()) - found["credit_air"]
    assert efficiency["value"] == pytest.approx(100 - lost, abs=0.01)
    assert 0.3 < efficiency["value"] - efficiency["low"] < 1.0
    assert found["hours"] == pytest.approx(12, abs=0.1)
    assert found["oxygen_basis"] == "wet"
    assert found["money"] > 35 * found["fuel_MWh"]


def test_fuel_and_steam_of_the_period_close_the_heat_balance(capsys):
    _, found = told(capsys, "losses", "--range", DAY)
    rise = 2801.0 - 462.0  # kJ/kg, IAPWS-IF97 at 23 bar above feedwater of 110 degC
    useful = found["steam_t"] * rise / 3600
    assert useful == pytest.approx(
        found["fuel_MWh"] * found["efficiency_hhv"]["value"] / 100, rel=0.01
    )


def test_losses_are_shown_to_people(capsys):
    code, out, _ = ran(capsys, "losses", "boiler1", "--range", DAY)
    assert code == 0
    assert "95 % band" in out
    assert "EUR" in out


def test_advice_lowers_the_oxygen_that_somebody_raised_and_not_below_the_curve(capsys):
    code, found = told(capsys, "advise", "boiler1", "--range", DAY)
    assert code == 1
    trim = next(each for each in found["recommendations"] if each["kind"] == "oxygen_trim")
    assert trim["id"] == "boiler1.oxygen_trim"
    now, target = trim["now"]["oxygen, % wet"], trim["target"]["oxygen, % wet"]
    assert target < now
    assert target >= 2.3 + 0.3
    assert trim["saving"]["fuel_pct"]["low"] > 0
    assert all(each["kept"] for each in trim["constraints"])
    assert trim["expires"] > trim["evidence"]["end"]


def test_what_is_saved_together_is_less_than_the_sum(capsys):
    _, found = told(capsys, "advise", "boiler1", "--range", DAY)
    single = [
        each["saving"]["fuel_pct"]["value"]
        for each in found["recommendations"]
        if each["saving"] and not each["project"]
    ]
    assert len(single) > 1
    assert max(single) < found["together"]["fuel_pct"]["value"] < sum(single)


def test_what_is_not_advised_has_its_reason(capsys):
    code, out, _ = ran(capsys, "advise", "--range", DAY)
    assert code == 1
    assert "not soot blowing: the clean stack was not learned yet" in out
    assert "not blowdown" in out


def test_a_broken_instrument_comes_first(capsys, house, learned):
    store_broken(house)
    _, found = told(capsys, "advise", "--range", "2026-10-06T00:00+00:00..2026-10-06T02:00+00:00")
    first = found["recommendations"][0]
    assert first["kind"] == "instrument"
    assert "stuck" in first["title"]
    trim = next(each for each in found["declined"] if each["kind"] == "oxygen_trim")
    assert "not before this is settled" in trim["declined"]


def store_broken(house):
    def events(plant, time):
        if time == 0:
            plant.write("AIC301.SP", 5.0)
        if time == 3600:
            plant.fail("stuck", "AT301")

    store(house, 2, events=events, start=START + timedelta(days=1))


def test_less_oxygen_in_the_past_would_have_saved_and_the_curve_holds_it_back(capsys):
    code, found = told(capsys, "whatif", "boiler1", "--o2", "2.6", "--range", DAY)
    assert code == 0
    assert found["fuel_pct"]["low"] > 0
    assert found["efficiency_after"] > found["efficiency_before"]
    assert found["fuel_MWh"]["value"] * 35 < found["money"]["value"]
    assert found["hours_limited"] > 1
    assert any("commissioned curve" in reason for reason in found["reasons"])


def test_more_oxygen_would_have_cost(capsys):
    _, found = told(capsys, "whatif", "--o2", "6", "--range", DAY)
    assert found["fuel_pct"]["high"] < 0


def test_a_what_if_without_a_change_is_refused(capsys):
    code, _, err = ran(capsys, "whatif", "--range", DAY)
    assert code == 78
    assert "--o2" in err


def test_a_morning_teaches_noise_stack_and_fuel(learned):
    assert learned["noise"]["oxygen"] == pytest.approx(0.1, rel=0.2)
    assert learned["stack"]["deviation"] < 2
    assert learned["fuel"]["cv_rmse"] < 0.02


def test_what_is_usual_is_learned_in_the_air_that_is_configured(capsys, house):
    """Humid air brings less oxygen by the same meter: less of it than that is left in the gas."""
    usual = {}
    for humidity in (0.01, 0.03):
        file = house / f"humid{humidity}.yaml"
        file.write_text(CONFIG.replace("    load:", f"    humidity: {humidity}\n    load:"))
        code, _ = told(capsys, "learn", "boiler1", "--range", MORNING, "--config", str(file))
        assert code == 0
        kept = house / "state/boilers/boiler1.json"
        usual[humidity] = Learned.decoded(kept.read_bytes()).usual.comparisons["oxygen"].mean
        kept.unlink()
    assert usual[0.03] - usual[0.01] == pytest.approx(0.5, abs=0.2)


def test_the_oxygen_raised_at_noon_is_found_again_in_the_verified_fuel(capsys, learned):
    """4.5 % instead of the curve at the loads both have: about half a percent more fuel."""
    code, found = told(capsys, "savings", "boiler1", *AFTERNOON)
    assert code == 0
    assert -1.2 < found["saved_pct"]["value"] < -0.2
    assert found["saved_pct"]["high"] < 0


def test_savings_without_a_baseline_say_what_to_do(capsys):
    code, _, err = ran(capsys, "savings", *AFTERNOON)
    assert code == 1
    assert "gl002 learn" in err


def test_the_report_is_one_page_that_fetches_nothing(capsys, tmp_path, learned):
    file = tmp_path / "october.html"
    code, _, err = ran(capsys, "report", "--month", DAY, "--output", str(file))
    assert code == 0, err
    page = file.read_text()
    assert page.count("<svg") == 3
    assert re.findall(r"(?:src|href)=", page) == []
    assert "<script" not in page
    for words in ("95 % band", "Recommendations", "Lower the oxygen setpoint", "Method"):
        assert words in page


def test_the_report_as_pdf_can_be_read_by_another_program(capsys, tmp_path):
    file = tmp_path / "october.pdf"
    code, _, err = ran(capsys, "report", "--month", DAY, "--output", str(file))
    assert code == 0, err
    pages = pypdf.PdfReader(file).pages
    text = "".join(page.extract_text() for page in pages)
    for words in ("Boilers in", "efficiency, % HHV", "Lower the oxygen setpoint", "Method"):
        assert words in text
    drawn = b"".join(page.get_contents().get_data() for page in pages)
    assert drawn.count(b" l ") > 400, "the lines of the plots"


def test_the_report_for_scripts_holds_account_and_advice(capsys):
    code, found = told(capsys, "report", "--month", DAY)
    assert code == 0
    assert found["boiler"] == "boiler1"
    assert found["advice"]["recommendations"]


def test_a_time_of_which_nothing_is_known_says_so(capsys):
    code, _, err = ran(capsys, "losses", "--range", "2026-01")
    assert code == 1
    assert "nothing is known of oxygen" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("losses", "boiler9"), "no boiler 'boiler9'"),
        (("losses", "--history", "influxdb"), "no connection 'influxdb'"),
        (("losses", "--range", "yesterday"), "is no period"),
        (("losses", "--range", "2026-10-05..2026-10-04"), "ends before it begins"),
        (("whatif", "--o2", "50"), "--o2 50 cannot be"),
        (("whatif", "--o2", "nan"), "--o2 nan cannot be"),
        (("whatif", "--stack=-300"), "--stack -300 cannot be"),
        (("report", "--month", "2100-01"), "not here yet"),
        (("report", "--month", DAY, "--output", "x.docx"), "neither .html nor .pdf"),
    ],
)
def test_wrong_arguments_are_named(capsys, arguments, said):
    code, _, err = ran(capsys, *arguments)
    assert code == 78
    assert said in err


def test_a_file_without_boilers_says_where_they_go(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(CONFIG.partition("tariffs:")[0])
    code, _, err = ran(capsys, "losses")
    assert code == 78
    assert "boilers:" in err


def shared(folder, capsys, monkeypatch, dirt: float):
    """What is advised to two boilers that make as much as each other, the second dirtier."""
    monkeypatch.chdir(folder)
    head, _, boiler = CONFIG.partition("  boiler1:\n")
    (folder / "integrations.yaml").write_text(
        f"{head}  boiler1:\n{boiler}  boiler2:\n{boiler.replace('boiler1', 'boiler2')}"
        "headers:\n  main:\n    unit: lb/hr\n    reserve: 0\n    boilers:\n"
        "      boiler1: {least: 40000, most: 110000}\n"
        "      boiler2: {least: 40000, most: 110000}\n"
    )
    plants = [
        Plant(
            name, seed=3, load=lambda time: 0.45 + 0.08 * (int(time / 3600) % 6),
            soot=lambda _, lost=lost: lost,
        )
        for name, lost in (("boiler1", 0.0), ("boiler2", dirt))
    ]  # fmt: skip
    keep(folder, 6, plants, step=30.0)
    _, out, _ = ran(capsys, "advise", "--range", MORNING, "--json")
    found = json.loads(out.splitlines()[-1])
    assert found["header"] == "main"
    return found


def test_two_boilers_on_a_header_are_told_how_to_share_its_steam(capsys, tmp_path, monkeypatch):
    """The second has lost half of its heat transfer."""
    found = shared(tmp_path, capsys, monkeypatch, 0.5)
    assert found["saving"]["fuel_pct"]["low"] > 0.2
    assert found["currency"] == "EUR"
    more, less = (f"{name} steam, kg/s" for name in ("boiler1", "boiler2"))
    assert found["now"][more] == pytest.approx(found["now"][less], rel=0.01)
    assert found["target"][more] > found["now"][more] + 2
    assert sum(found["target"].values()) == pytest.approx(sum(found["now"].values()), rel=0.02)


def test_boilers_that_the_instruments_cannot_tell_apart_are_left_alone(
    capsys, tmp_path, monkeypatch
):
    assert "uncertainty" in shared(tmp_path, capsys, monkeypatch, 0.1)["declined"]
