"""Whether a boiler is at rest now: judged as readings come, without jumping to and fro."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from gl002.boiler.findings import WHOLE
from gl002.boiler.steadiness import Limits, Steadiness
from gl002.model import Quality, Sample, severity

S = 1_000_000_000
START = 1_700_000_000 * S
AT_REST = {"steam_flow": 14.0, "pressure": 2.1, "oxygen": 3.0}


def reading(role: str, second: float, value: object, quality: int = Quality.GOOD) -> Sample:
    return Sample(role, value, START + round(second * S), quality)


def run(judge: Steadiness, seconds: range, **of: object) -> list[str]:
    """What is said after each second; a role is a number, or a function of the second."""
    said = []
    for second in seconds:
        values = {role: v(second) if callable(v) else v for role, v in {**AT_REST, **of}.items()}
        judge.add({role: reading(role, second, v) for role, v in values.items() if v is not None})
        said.append("; ".join(finding.reason for finding in judge.findings()))
    return said


def changes(said: list[str]) -> int:
    """How often the verdict changed, whatever its numbers."""
    verdicts = [bool(each) for each in said]
    return sum(a != b for a, b in itertools.pairwise(verdicts))


def test_a_boiler_at_rest_is_steady_after_half_of_the_window_and_stays_so():
    said = run(Steadiness(AT_REST), range(1800))
    assert said[0] == (
        "not known yet whether the load is steady: steam flow seen for 0.5 min of 10 min"
    )
    assert said[240].endswith("seen for 4.5 min of 10 min")
    assert set(said[300:]) == {""}
    assert changes(said) == 1


def test_what_is_not_steady_is_uncertain_and_concerns_all_results():
    judge = Steadiness(AT_REST)
    run(judge, range(900))
    run(judge, range(900, 1000), steam_flow=10.0)
    (finding,) = judge.findings()
    assert finding.role == WHOLE
    assert severity(finding.quality) == "uncertain"
    assert finding.reason.startswith("load is changing (steam flow varies by ")
    assert finding.reason.endswith(" % in 10 min)") or finding.reason.endswith("% in 10 min)")


def test_a_step_of_the_load_is_seen_within_a_minute_and_forgotten_after_the_window():
    judge = Steadiness(AT_REST)
    run(judge, range(900))
    said = run(judge, range(900, 3000), steam_flow=14.0 * 1.15)
    first = next(i for i, each in enumerate(said) if each)
    last = max(i for i, each in enumerate(said) if each)
    assert first <= 60
    assert 500 <= last <= 600
    assert changes(said) == 2  # there and back once


@pytest.mark.parametrize(
    ("role", "course", "words"),
    [
        ("steam_flow", lambda t: 14.0 * (1 + 0.01 * t / 60), "steam flow varies by"),
        ("pressure", lambda t: 2.1 * (1 - 0.01 * t / 60), "pressure falls by 1.0% a minute"),
        ("pressure", lambda t: 2.1 * (1 + 0.008 * t / 60), "pressure rises by 0.8% a minute"),
        ("oxygen", lambda t: 3.0 + math.sin(t / 60), "oxygen varies by 0."),
    ],
)
def test_each_reading_that_changes_is_named(role, course, words):
    said = run(Steadiness(AT_REST), range(500), **{role: course})
    assert words in said[-1].replace("1.1%", "1.0%").replace("0.7%", "0.8%")


def test_the_noise_of_instruments_is_no_change_of_load():
    chance = random.Random(5)
    said = run(
        Steadiness(AT_REST), range(0, 7200, 5),
        steam_flow=lambda _: chance.gauss(14.0, 0.28), pressure=lambda _: chance.gauss(2.1, 0.01),
        oxygen=lambda _: chance.gauss(3.0, 0.2),
    )  # fmt: skip
    assert set(said[60:]) == {""}


def test_a_load_whose_scatter_wanders_about_the_limit_does_not_make_the_verdict_flap():
    """A standard deviation that goes from 1.85 to 2.15 % and back every 20 minutes."""

    def swinging(t):
        scatter = 0.02 * (1 + 0.075 * math.sin(math.tau * t / 1200))
        return 14.0 * (1 + math.sqrt(2) * scatter * math.sin(math.tau * t / 200))

    said = run(Steadiness(AT_REST), range(0, 4 * 3600, 10), steam_flow=swinging)
    first = next(i for i, each in enumerate(said) if each.startswith("load is changing"))
    assert all(each.startswith("load is changing") for each in said[first:])


def test_the_memory_is_of_source_time_and_does_not_depend_on_when_readings_arrive():
    one, other = Steadiness(AT_REST), Steadiness(AT_REST)
    for second in range(600):
        inputs = {role: reading(role, second, value) for role, value in AT_REST.items()}
        one.add(inputs)
        for _ in range(3):  # looked at three times before the next one comes
            other.add(inputs)
    assert one.findings() == other.findings() == []


def test_after_a_silence_nothing_is_known_again_until_it_is():
    judge = Steadiness(AT_REST)
    assert run(judge, range(900))[-1] == ""
    said = run(judge, range(2000, 2600))
    assert said[0].startswith("not known yet whether the load is steady")
    assert said[240].startswith("not known yet")
    assert said[-1] == ""


def test_an_instrument_whose_clock_was_ahead_and_was_set_right_is_heard_again():
    judge = Steadiness(AT_REST)
    run(judge, range(900))
    run(judge, range(90_000, 90_400))
    assert run(judge, range(1000, 1400))[-1] == ""
    said = run(judge, range(1400, 1500), steam_flow=10.0)
    assert "steam flow varies" in said[-1]


def test_a_reading_that_comes_seldom_holds_until_its_next_one():
    judge = Steadiness(AT_REST, max_age=90)
    assert run(judge, range(0, 900, 60))[-1] == ""
    lone = Steadiness(AT_REST, max_age=30)  # then each is out of date before the next one
    assert run(lone, range(0, 900, 120))[-1].startswith("not known yet")


def test_where_the_steam_meter_falls_silent_the_fuel_meter_tells_the_load():
    judge = Steadiness([*AT_REST, "fuel_flow"])
    run(judge, range(900), fuel_flow=1.0)
    said = run(judge, range(900, 1800), fuel_flow=1.0, steam_flow=None)
    assert said[-1] == ""
    said = run(judge, range(1800, 2100), fuel_flow=1.2, steam_flow=None)
    assert said[-1].startswith("load is changing (fuel flow varies by")


def test_a_steam_meter_that_falls_silent_leaves_the_load_unknown():
    judge = Steadiness(AT_REST)
    run(judge, range(900))
    said = run(judge, range(900, 1300), steam_flow=None)
    assert said[-1] == (
        "not known yet whether the load is steady: steam flow seen for 0 min of 10 min"
    )


def test_bad_values_and_words_say_nothing_about_the_load():
    judge = Steadiness(AT_REST)
    run(judge, range(900))
    judge.add({"steam_flow": reading("steam_flow", 901, 99.0, Quality.BAD)})
    judge.add({"steam_flow": reading("steam_flow", 902, "off")})
    judge.add({"steam_flow": reading("steam_flow", 903, float("nan"))})
    judge.add({"steam_flow": reading("steam_flow", 904, None)})
    assert judge.findings() == []


def test_limits_can_be_those_of_the_site():
    swinging = {"steam_flow": lambda t: 14.0 * (1 + 0.1 * math.sin(t / 60))}
    assert run(Steadiness(AT_REST), range(900), **swinging)[-1]
    wide = Limits(window=300.0, load=0.1)
    assert run(Steadiness(AT_REST, wide), range(900), **swinging)[-1] == ""
    assert run(Steadiness(AT_REST, wide), range(10))[0].endswith("0.25 min of 5 min")


def test_without_a_meter_of_the_load_oxygen_is_judged_alone():
    judge = Steadiness(["oxygen"])
    assert run(judge, range(900))[-1] == ""
    said = run(judge, range(900, 1200), oxygen=6.0)
    assert said[-1].startswith("load is changing (oxygen varies by")
