"""The section `actions:`: what is right is understood, and what is wrong is said with its place."""

from __future__ import annotations

import pytest

from gl002 import registry
from gl002.config.actions import advised
from gl002.config.load import load
from gl002.config.problems import InvalidConfig
from gl002.flow.gateway import Gateway
from peers import order_desk_connector

HEAD = """\
integrations:
  enabled: [order_desk, sqlite]
  order_desk: {url: 'http://127.0.0.1:9'}
gateway: {state_dir: state, name: house}
boilers:
  boiler1:
    oxygen: {tag: o2, basis: wet}
    stack_temperature: t1
    air_temperature: t2
    advice: {}
  boiler2:
    oxygen: {tag: o2b, basis: wet}
    stack_temperature: t3
    air_temperature: t4
actions:
"""
FIRST = HEAD.count("\n") + 1


@pytest.fixture(autouse=True)
def desk(monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    order_desk_connector.register()


@pytest.fixture
def loaded(tmp_path):
    def of(actions: str, head: str = HEAD):
        file = tmp_path / "integrations.yaml"
        file.write_text(head + actions)
        return load(file)

    return of


@pytest.fixture
def problems(loaded):
    """Line, key, message and hint of each problem."""

    def of(actions: str, head: str = HEAD) -> list[tuple[int, str, str]]:
        with pytest.raises(InvalidConfig) as caught:
            loaded(actions, head)
        return [
            (p.mark.line - FIRST + 1, ".".join(map(str, p.path)), f"{p.message} ({p.hint})")
            for p in caught.value.problems
            if p.mark is not None
        ]

    return of


RIGHT = """\
  - destination: order_desk
    action: create_order
    on: {advice: boiler1.soot_blowing}
    fields: {asset: BOILER-001, text: '{title:.40}', priority: 2}
  - destination: order_desk
    action: create_reading
    on: {tag: boiler1.efficiency, every: 1h}
    approval: false
    fields:
      point: EFF_1
      value: '{value}'
      time: '{time}'
"""


def test_what_is_right_is_bound_to_its_connection_and_its_tags(loaded):
    config = loaded(RIGHT)
    (_, first), (_, second) = config.actions
    assert (first.approval, first.dry_run, second.on.every) == (True, False, 3600.0)
    gateway = Gateway(config)
    causes = list(gateway.outbox._causes.values())
    assert [set(c.tags) for c in causes] == [
        {"boiler1.advice_soot_blowing"}, {"boiler1.efficiency"},
    ]  # fmt: skip
    assert "outbox" in [output.name for output in gateway._outputs]


def test_without_actions_there_is_no_outbox(loaded):
    gateway = Gateway(loaded("  []\n"))
    assert gateway.outbox is None
    assert "outbox" not in [output.name for output in gateway._outputs]


@pytest.mark.parametrize(
    ("actions", "line", "key", "said"),
    [
        (RIGHT.replace("order_desk", "oder_desk", 1), 1, "actions.0.destination",
         "no connection 'oder_desk' (did you mean 'order_desk'?)"),
        (RIGHT.replace("destination: order_desk", "destination: sqlite", 1), 1,
         "actions.0.destination",
         "sqlite performs no actions (it takes samples: data_flow.output)"),
        (RIGHT.replace("create_order", "create_oder"), 2, "actions.0.action",
         "order_desk has no action 'create_oder' (it offers: create_order, create_reading)"),
        (RIGHT.replace("boiler1.soot_blowing", "boiler1.soot"), 3, "actions.0.on.advice",
         "nobody advises on 'boiler1.soot' (did you mean 'boiler1.soot_blowing'?)"),
        (RIGHT.replace("boiler1.soot", "boiler2.soot"), 3, "actions.0.on.advice",
         "nobody advises on 'boiler2.soot_blowing' (did you mean 'boiler1.soot_blowing'?)"),
        (RIGHT.replace("{title:.40}", "{titel}"), 4, "actions.0.fields.text",
         "there is no '{titel}' to fill in (did you mean 'title'?)"),
        (RIGHT.replace("{title:.40}", "{value}"), 4, "actions.0.fields.text",
         "there is no '{value}' to fill in ("),
        (RIGHT.replace("{title:.40}", "{title"), 4, "actions.0.fields.text", "'{' is no place"),
        (RIGHT.replace("priority: 2", "priority: 9"), 4, "actions.0.fields.priority",
         "expected less than or equal to 5, found 9 ()"),
        (RIGHT.replace("priority: 2", "urgency: 2"), 4, "actions.0.fields.urgency",
         "unknown key 'urgency' (known here: asset, priority, text)"),
        (RIGHT.replace("asset: BOILER-001, ", ""), 4, "actions.0.fields.asset", "is missing ()"),
        (RIGHT.replace("{tag: boiler1.efficiency, every: 1h}", "{tag: x}"), 7, "actions.1.on",
         "'tag' and 'every' belong together: {tag: boiler1.flow, every: 1h} ()"),
        (RIGHT.replace("every: 1h", "every: 1s"), 7, "actions.1.on.every",
         "expected greater than or equal to 60"),
        (RIGHT.replace("{advice: boiler1.soot_blowing}", "{}"), 3, "actions.0.on",
         "give either 'advice' or 'tag' ()"),
        (RIGHT.replace("approval: false", "aproval: false"), 8, "actions.1.aproval",
         "unknown key 'aproval' (did you mean 'approval'?)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_its_key(problems, actions, line, key, said):
    ((where, path, message),) = problems(actions)
    assert (where, path) == (line, key)
    assert message.startswith(said)


def test_two_that_do_the_same_for_the_same_cause_need_names(problems, loaded):
    twice = RIGHT.split("  - ")[1]
    ((line, path, message),) = problems(f"  - {twice}  - {twice}")
    assert (line, path) == (5, "actions.1")
    assert message.startswith("actions[0] does the same for the same cause (give one of them a")
    assert loaded(f"  - {twice}  - name: second\n    {twice}").actions[1][1].name == "second"


def test_a_kind_with_several_connections_does_not_say_which_is_to_do_it(problems):
    head = HEAD.replace(
        "  order_desk: {url: 'http://127.0.0.1:9'}",
        "  order_desk: {a: {url: 'http://127.0.0.1:9'}, b: {url: 'http://127.0.0.1:9'}}",
    )
    found = problems(RIGHT.replace("destination: order_desk", "destination: order_desk.a", 1), head)
    ((line, path, message),) = found
    assert (line, path) == (5, "actions.1.destination")
    assert message == (
        "'order_desk' means several connections, and it is to be done once "
        "(one of order_desk.a, order_desk.b)"
    )


def test_a_broken_connection_is_told_once(problems):
    ((_, path, _),) = problems(RIGHT, HEAD.replace("http://127.0.0.1:9", "ftp://x"))
    assert path == "integrations.order_desk.url"


def test_a_name_of_the_outputs_is_taken(problems):
    head = HEAD.replace(
        "gateway:", "  data_flow: {output: [{destination: sqlite, name: outbox}]}\ngateway:"
    )
    found = problems(RIGHT, head)
    assert ["an output is named 'outbox' already" in message for *_, message in found] == [True]


def test_patterns_name_kinds_and_boilers_and_a_header_shares_load():
    boilers, headers = ["boiler1", "boiler2"], ["steam"]
    assert advised("boiler1.soot_blowing", boilers, headers) == [("boiler1", "soot_blowing")]
    assert advised("*.soot_blowing", boilers, headers) == [
        ("boiler1", "soot_blowing"), ("boiler2", "soot_blowing"),
    ]  # fmt: skip
    assert advised("steam.*", boilers, headers) == [("steam", "load_allocation")]
    assert advised("boiler1.instrument.oxygen", boilers, headers) == [("boiler1", "instrument")]
    assert advised("boiler1.load_allocation", boilers, headers) == []


# ---- writes -----------------------------------------------------------------------------------


def test_points_and_proposals_that_name_no_connection_are_told(tmp_path):
    file = tmp_path / "integrations.yaml"
    file.write_text(
        "integrations:\n  enabled: [modbus]\n  modbus: {host: 10.0.0.1}\n"
        "writes:\n  proposals: {allow: [modbus, asw]}\n  points:\n"
        "    - {id: a, connector: modbus.b1, address: x, unit: '%', limits: {min: 1, max: 2}}\n"
        "    - {id: b, connector: modbus, address: x, unit: '%', limits: {min: 1, max: 2}}\n"
    )
    with pytest.raises(InvalidConfig) as caught:
        load(file)
    told = [(p.mark.line, ".".join(map(str, p.path)), p.message) for p in caught.value.problems]
    assert told == [
        (5, "writes.proposals.allow.1", "no connection 'asw'"),
        (7, "writes.points.0.connector", "no connection 'modbus.b1'"),
    ]
