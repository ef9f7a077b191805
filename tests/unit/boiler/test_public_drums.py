"""Two published models of drum boilers, in whose terms public cases are told.

The gateway has no such models: its plant is that of Pellegrinetti and Bentsman. What is checked of
ours is the steam that the second one is made of, with its derivatives, over minutes of its time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest

from gl002.boiler import steam
from unit.boiler.published import case, wanted

# ---- Bell and Åström (1987), Report TFRT-3192, Lund ---------------------------------------------


def test_the_operating_points_of_the_160_mw_unit_are_at_rest():
    """Power is that at which its own equation rests; printed for point 1 is another one."""
    each = case("ba87-public")
    found = {}
    for point in each["inputs"]["points"]:
        p, rho = point["p_kgcm2"], point["rho_f"]
        u1, u2, u3 = (point[name] for name in ("u1", "u2", "u3"))
        steam_flow = p ** (9 / 8)
        quality = (1 - 0.001538 * rho) * (0.8 * p - 25.6) / (rho * (1.0394 - 0.0012304 * p))
        evaporation = (0.854 * u2 - 0.147) * p + 45.59 * u1 - 2.514 * u3 - 2.096
        number = point["point"]
        found[f"dp_dt_{number}"] = -0.0018 * u2 * steam_flow + 0.9 * u1 - 0.15 * u3
        found[f"Po_{number}"] = (0.073 * u2 - 0.016) * steam_flow / 0.1
        found[f"level_{number}"] = 0.05 * (0.13073 * rho + 100 * quality + evaporation / 9 - 67.975)
    expected = wanted(each)
    assert found.keys() == expected.keys()
    for key, (value, tolerance) in expected.items():
        assert found[key] == pytest.approx(value, abs=tolerance), key


# ---- Åström and Bell (2000), Automatica 36, 363-378 ---------------------------------------------


class Saturated(NamedTuple):
    """Water (w) and steam (s) at rest with each other: kg/m3, J/kg, degC."""

    rho_w: float
    rho_s: float
    h_w: float
    h_s: float
    t: float


def saturated(pascal: float) -> Saturated:
    water, vapour = (steam.by_dryness(pascal / 1e6, dryness) for dryness in (0.0, 1.0))
    return Saturated(
        1 / water.volume, 1 / vapour.volume, 1e3 * water.enthalpy, 1e3 * vapour.enthalpy,
        steam.saturation_temperature(pascal / 1e6),
    )  # fmt: skip


def void(at: Saturated, quality: float) -> float:
    """Mean volume of steam in the risers, where mass quality rises evenly to `quality`."""
    eta = (at.rho_w - at.rho_s) / at.rho_s * quality
    return at.rho_w / (at.rho_w - at.rho_s) * (1 - math.log1p(eta) / eta)


class Drum:
    """The model: water, pressure, quality at the risers' end, steam under the drum's level.

    Args:
        size: volumes, areas, masses of metal and coefficients, named as in the paper.
        heat: W.
        feed: of water, kg/s.
        draw: of steam, kg/s.
        feed_enthalpy: J/kg.
    """

    def __init__(self, size, heat, feed, draw, feed_enthalpy):
        self.size, self.heat = size, heat
        self.feed, self.draw, self.feed_enthalpy = feed, draw, feed_enthalpy

    def level(self, state):
        """Above the drum's middle, m, but for a constant."""
        at, c = saturated(state[1]), self.size
        return (self._water_in_drum(at, state) + state[3]) / c["Ad"]

    def _water_in_drum(self, at, state):
        return state[0] - self.size["Vdc"] - (1 - void(at, state[2])) * self.size["Vr"]

    def slope(self, state):
        """Change per second, one equation of the paper after the other."""
        water, p, quality, bubbles = state
        c, at = self.size, saturated(p)
        above, below = saturated(p + 1e3), saturated(p - 1e3)
        d = Saturated(*((a - b) / 2e3 for a, b in zip(above, below, strict=True)))
        latent, volume = at.h_s - at.h_w, c["Vd"] + c["Vr"] + c["Vdc"]
        vapour, lighter = volume - water, at.rho_w - at.rho_s
        share = void(at, quality)
        by_p = (void(above, quality) - void(below, quality)) / 2e3
        by_q = (void(at, quality + 1e-6) - void(at, quality - 1e-6)) / 2e-6
        down = math.sqrt(2 * at.rho_w * c["Adc"] * lighter * c["g"] * share * c["Vr"] / c["k"])
        in_drum = self._water_in_drum(at, state)

        mass = self.feed - self.draw
        energy = self.heat + self.feed * self.feed_enthalpy - self.draw * at.h_s
        e12 = water * d.rho_w + vapour * d.rho_s
        e21 = at.rho_w * at.h_w - at.rho_s * at.h_s
        e22 = (
            water * (at.h_w * d.rho_w + at.rho_w * d.h_w)
            + vapour * (at.h_s * d.rho_s + at.rho_s * d.h_s)
            - volume + c["mt"] * c["Cp"] * d.t
        )  # fmt: skip
        whole = lighter * e22 - e12 * e21
        d_water, d_p = (mass * e22 - e12 * energy) / whole, (lighter * energy - e21 * mass) / whole

        e32 = (
            (at.rho_w * d.h_w - quality * latent * d.rho_w) * (1 - share) * c["Vr"]
            + ((1 - quality) * latent * d.rho_s + at.rho_s * d.h_s) * share * c["Vr"]
            + (at.rho_s + lighter * quality) * latent * c["Vr"] * by_p
            - c["Vr"] + c["mr"] * c["Cp"] * d.t
        )  # fmt: skip
        e33 = ((1 - quality) * at.rho_s + quality * at.rho_w) * latent * c["Vr"] * by_q
        d_quality = (self.heat - quality * latent * down - e32 * d_p) / e33

        returns = (1 + c["beta"]) * c["Vr"] * quality
        e42 = (
            bubbles * d.rho_s
            + (at.rho_s * bubbles * d.h_s + at.rho_w * in_drum * d.h_w - bubbles - in_drum
               + c["md"] * c["Cp"] * d.t) / latent
            + returns * (share * d.rho_s + (1 - share) * d.rho_w - lighter * by_p)
        )  # fmt: skip
        e43 = -returns * lighter * by_q
        condensing = (self.feed_enthalpy - at.h_w) / latent * self.feed
        rising = at.rho_s / c["Td"] * (c["V0sd"] - bubbles) + condensing
        return d_water, d_p, d_quality, (rising - e42 * d_p - e43 * d_quality) / at.rho_s

    def after(self, state, seconds):
        """The state a second and a second later (Runge and Kutta)."""
        for _ in range(seconds):
            one = self.slope(state)
            two = self.slope(_along(state, one, 0.5))
            three = self.slope(_along(state, two, 0.5))
            four = self.slope(_along(state, three, 1.0))
            mean = [
                (a + 2 * b + 2 * c + d) / 6
                for a, b, c, d in zip(one, two, three, four, strict=True)
            ]
            state = _along(state, mean, 1.0)
        return state


def _along(state, slope, seconds):
    return [value + seconds * each for value, each in zip(state, slope, strict=True)]


def test_ten_megawatts_more_raise_pressure_and_let_the_level_swell_and_fall_as_published():
    each = case("ab2000-Q")
    inputs, step = each["inputs"]["inputs"], each["inputs"]["step"]
    flows = (inputs["qf"], inputs["qs"], inputs["hf_J_kg"])
    state = each["inputs"]["x0"]
    before = Drum(each["inputs"]["parameters"], inputs["Q_W"], *flows)
    assert before.slope(state) == pytest.approx((0, 0, 0, 0), abs=1e-9), "at rest"
    drum = Drum(each["inputs"]["parameters"], inputs["Q_W"] + step["dQ_W"], *flows)
    level, time = drum.level(state), 0
    for point in each["points"]:
        state, time = drum.after(state, point["t"] - time), point["t"]
        found = {
            "p_MPa": state[1] / 1e6, "Vwt": state[0], "alpha_r": state[2], "Vsd": state[3],
            "dlevel_m": drum.level(state) - level,
        }  # fmt: skip
        for key, tolerance in each["tolerance_abs"].items():
            assert found[key] == pytest.approx(point[key], abs=tolerance), (time, key)
