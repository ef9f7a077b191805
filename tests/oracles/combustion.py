"""Writes tests/data/combustion_references.json: heat losses computed a second time, by Cantera.

    pip install "gl002[oracles]"
    python tests/oracles/combustion.py

Nothing of the formulas of `gl002.boiler` is used but the atoms and the heating value of each fuel:
the excess air is found by bisection on Cantera's own mixture, and enthalpies are the nine
coefficient polynomials of NASA/TP-2002-211556, another set than the engine's.
"""

import itertools
import json
from pathlib import Path

import cantera as ct

from gl002.boiler.fuels import FUELS, hydrogen_blend

FILE = Path(__file__).parents[1] / "data" / "combustion_references.json"
AIR = {"O2": 0.2095, "N2": 0.7808, "Ar": 0.0094, "CO2": 0.0003}
GASES = ("CO2", "CO", "SO2", "O2", "N2", "Ar", "H2O")
WATER = 18.01528
DRY_AIR = 0.2095 * 31.9988 + 0.7808 * 28.0134 + 0.0094 * 39.948 + 0.0003 * 44.0098
LATENT = 2441.7 * WATER  # kJ/kmol at 25 degC
CO_HEAT = 282_984.0

SPECIES = {each.name: each for each in ct.Species.list_from_file("nasa_gas.yaml")}


def heat(gas: str, celsius: float, reference: float) -> float:
    """kJ/kmol between two temperatures."""
    thermo = SPECIES[gas].thermo
    return (thermo.h(celsius + 273.15) - thermo.h(reference + 273.15)) / 1000


def products(fuel, excess, ppm, humidity):
    """Kmol of each gas; CO takes its carbon from CO2 and leaves half a kmol of O2."""
    air = fuel.oxygen_demand / AIR["O2"] * (1 + excess)
    out = {
        "CO2": fuel.carbon + AIR["CO2"] * air,
        "SO2": fuel.sulphur,
        "O2": AIR["O2"] * air - fuel.oxygen_demand,
        "N2": fuel.nitrogen / 2 + AIR["N2"] * air,
        "Ar": AIR["Ar"] * air,
        "H2O": fuel.hydrogen / 2 + fuel.water + humidity * DRY_AIR / WATER * air,
        "CO": 0.0,
    }
    for _ in range(60):  # the share of CO is of a gas that CO itself makes larger
        dry = sum(n for gas, n in out.items() if gas != "H2O")
        more = ppm * 1e-6 * dry - out["CO"]
        out["CO"] += more
        out["CO2"] -= more
        out["O2"] += more / 2
    return out, air


def oxygen(out, basis):
    whole = sum(out.values()) - (out["H2O"] if basis == "dry" else 0.0)
    return 100 * out["O2"] / whole


def reference(fuel, o2, *, basis, stack, air_temperature, ppm, humidity):
    low, high = -0.2, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        if oxygen(products(fuel, middle, ppm, humidity)[0], basis) < o2:
            low = middle
        else:
            high = middle
    out, air = products(fuel, middle, ppm, humidity)
    per = 100 / fuel.hhv
    air_water = humidity * DRY_AIR / WATER * air
    vapour = LATENT + heat("H2O", stack, 25.0)
    return {
        "excess_air": 100 * middle,
        "dry_gas": per * sum(out[gas] * heat(gas, stack, 25.0) for gas in GASES if gas != "H2O"),
        "hydrogen": per * fuel.hydrogen / 2 * vapour,
        "fuel_moisture": per * fuel.water * vapour,
        "air_moisture": per * air_water * heat("H2O", stack, 25.0),
        "co": per * out["CO"] * CO_HEAT,
        "air": per
        * (
            sum(share * air * heat(gas, air_temperature, 25.0) for gas, share in AIR.items())
            + air_water * heat("H2O", air_temperature, 25.0)
        ),
    }


def main() -> None:
    fuels = {**FUELS, "natural_gas_h2_30": hydrogen_blend(FUELS["natural_gas"], 30)}
    others = itertools.cycle([(25.0, 0.0, 0.01), (60.0, 400.0, 0.03), (-10.0, 50.0, 0.0)])
    rows = []
    for name, o2, stack, basis in itertools.product(
        fuels, (0.0, 1.0, 3.0, 8.0, 15.0), (80.0, 180.0, 280.0, 400.0), ("dry", "wet")
    ):
        air_temperature, ppm, humidity = next(others)
        row = reference(
            fuels[name], o2, basis=basis, stack=stack, air_temperature=air_temperature, ppm=ppm,
            humidity=humidity,
        )  # fmt: skip
        given = [name, o2, basis, stack, air_temperature, ppm, humidity]
        rows.append(given + [round(value, 6) for value in row.values()])
    columns = ["fuel", "oxygen", "basis", "stack", "air_temperature", "co_ppm", "humidity", *row]
    source = f"Cantera {ct.__version__}, nasa_gas.yaml; tests/oracles/combustion.py"
    note = "losses and the credit of air in percent of HHV, excess air in percent"
    body = ",\n".join(json.dumps(row) for row in rows)
    FILE.write_text(
        f'{{"source": {json.dumps(source)}, "note": {json.dumps(note)},\n'
        f'"columns": {json.dumps(columns)},\n"rows": [\n{body}\n]}}\n'
    )
    print(f"{len(rows)} rows written to {FILE.name}")


if __name__ == "__main__":
    main()
