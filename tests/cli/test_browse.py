"""`gl002 browse`: from a server to a reviewed configuration, and back to what has changed since."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.cli import main
from gl002.cli.proposal import as_yaml, tag_names
from gl002.config.load import load
from gl002.config.yaml import Document
from gl002.connector import Found
from peers.node_opcua import NodeOpcua

MANY = 5000


@pytest.fixture(scope="module")
def peer():
    with NodeOpcua(MANY=MANY) as peer:
        yield peer


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments):
        code = main(["browse", *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_a_server_of_5000_nodes_becomes_a_configuration_without_drift(run, peer, tmp_path):
    code, text, _ = run(peer.url, "--yaml")
    assert code == 0
    assert text == run(peer.url, "--yaml")[1], "stable, so that two surveys can be compared"
    file = tmp_path / "integrations.yaml"
    file.write_text(text)
    config = load(file)
    mapping = config.connections["opc_ua"].settings.data_mapping
    assert len(mapping) == MANY + 14
    assert mapping["boiler1.pressure"].unit == "bar"
    assert mapping["boiler1.pressure"].node_id == "nsu=urn:boiler;s=Boiler1.Pressure"
    assert mapping["boiler1.limit"].type == "Int16"
    assert mapping["boiler1.steam_flow"].description == "steam to header"
    assert mapping[f"many.t{MANY - 1}"].node_id == f"nsu=urn:boiler;s=Many.T{MANY - 1}"
    assert "boiler1.profile" not in mapping, "an array is no single value"
    code, drift, talk = run(peer.url, "--diff", str(file))
    assert (code, drift.splitlines()) == (
        1, ["+ Boiler1/Profile: ns=2;s=Boiler1.Profile, Double[]"],
    )  # fmt: skip
    assert "1 new" in talk


@pytest.mark.slow
def test_the_configuration_is_edited_checked_at_the_server_and_compared_again(
    run, peer, tmp_path, capsys
):
    """browse -> YAML -> edit -> check -> diff, on 5,000 nodes."""
    file = tmp_path / "integrations.yaml"
    text = run(peer.url, "--yaml")[1]
    wrong = text.replace("Boiler1.Pressure", "Boiler1.Pressur")
    edited = text.replace("boiler1.pressure:", "drum_pressure:")
    assert text not in {wrong, edited}

    def check():
        code = main(["check", str(file), "--online", "--json"])
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return code, [f for f in found if f["level"] == "FAIL"]

    file.write_text(wrong)
    code, failures = check()
    assert code != 0
    assert [f["text"] for f in failures] == ["boiler1.pressure: BadNodeIdUnknown"]
    file.write_text(edited)
    assert check() == (0, [])
    code, drift, _ = run(peer.url, "--diff", str(file))
    assert (code, drift.splitlines()) == (
        1, ["+ Boiler1/Profile: ns=2;s=Boiler1.Profile, Double[]"],
    ), "another name for a tag is no drift"  # fmt: skip


@pytest.mark.slow
def test_drift_names_what_is_new_gone_and_of_another_type_and_nothing_else(run, tmp_path):
    with NodeOpcua() as peer:
        file = tmp_path / "integrations.yaml"
        text = run(peer.url, "--yaml")[1]
        file.write_text(text.replace("unit: 'bar'", "unit: 'psi'"))
        peer.options |= {"OMIT": "Grade,Profile", "ALSO": "Draft", "RETYPE": 1, "SHIFT": 1}
        peer.restart()
        code, drift, talk = run(peer.url, "--diff", str(file))
        assert code == 1
        assert set(drift.splitlines()) == {
            "+ Boiler1/Draft: ns=3;s=Boiler1.Draft, Double",
            "- boiler1.grade: nsu=urn:boiler;s=Boiler1.Grade",
            "~ boiler1.limit: type Int16 -> String",
            "~ boiler1.pressure: unit psi -> bar",
        }
        assert "1 new, 1 gone, 2 changed" in talk
        code, drift, _ = run("opc_ua", "ns=3;s=LeftFan", "--diff", str(file))
        assert "+" not in drift, "what was not browsed is not new"
        assert "- boiler1.grade" in drift, "what is mapped is looked up wherever it is"


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--match", "*/*flow"], {"SteamFlow", "FuelFlow"}),
        (["--match", "*FLOW", "--type", "Double", "--match", "*/limit"], {"SteamFlow", "FuelFlow"}),
        (["--type", "Int16", "--writable"], {"Limit"}),
    ],
)
def test_filters_leave_only_what_was_asked_for(run, peer, filters, names):
    code, out, _ = run(peer.url, "--json", *filters)
    assert code == 0
    assert {json.loads(line)["name"] for line in out.splitlines()} == names


def test_a_file_that_goes_elsewhere_is_refused_with_what_it_has(run, tmp_path, capsys):
    (tmp_path / "i.yaml").write_text(
        "integrations: {enabled: [opc_ua], opc_ua: {dcs: {url: 'opc.tcp://10.0.0.1'}}}"
    )
    code, _, err = run("opc.tcp://10.0.0.2", "--diff", "i.yaml")
    assert code == 78
    assert "no connections to 'opc.tcp://10.0.0.2'" in err
    assert "opc_ua.dcs" in err


# ---- the text ---------------------------------------------------------------------------------


class Plant:
    """As much of a connector as the text needs."""

    kind, entries_key = "opc_ua", "data_mapping"

    @staticmethod
    def entry_of(found):
        return {"node_id": f"ns=2;s={found.address}", "description": found.description}


WORDS = st.text(max_size=20)
THINGS = st.builds(Found, address=WORDS, name=WORDS, path=WORDS, unit=WORDS, description=WORDS)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(THINGS, max_size=3))
def test_whatever_a_server_calls_its_nodes_the_file_can_be_read(found):
    text = as_yaml(Plant, {"url": "opc.tcp://h"}, found)
    mapping = Document(text, "i.yaml").data["integrations"]["opc_ua"]["data_mapping"] or {}
    assert len(mapping) == len(found)
    for thing, name in zip(found, tag_names(found), strict=True):
        entry = mapping[name]
        if thing.address.isprintable():
            assert entry["node_id"] == f"ns=2;s={thing.address}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Boiler1/SteamFlow", "boiler1.steam_flow"),
        ("Boiler 1/FT101.PV", "boiler_1.ft101.pv"),
        ("Kessel/Dampfmenge (t/h)", "kessel.dampfmenge_t.h"),
        ("O2Level", "o2_level"),
    ],
)
def test_a_tag_is_called_as_its_path(path, name):
    assert tag_names([Found(address="x", name="x", path=path)]) == [name]


def test_things_of_one_name_are_numbered():
    twins = [Found(address=str(i), name="Speed", path="Fan/Speed") for i in range(3)]
    assert tag_names(twins) == ["fan.speed", "fan.speed_2", "fan.speed_3"]
