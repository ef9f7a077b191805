"""Check an integrations.yaml: every problem at once, with its place and how to fix it.

With --online, also connect to every device and server and read every configured tag once. Writes
nothing.

Examples:
  gl002 check integrations.yaml
  gl002 check integrations.yaml --online
  gl002 check integrations.yaml --json
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import fnmatch
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from gl002.cli.output import as_json, plain, say
from gl002.cli.target import DEFAULT_FILE
from gl002.config.expression import Expression
from gl002.config.load import GatewayConfig, load
from gl002.config.problems import InvalidConfig, Problem
from gl002.config.reach import depends_on_names, shut_out
from gl002.errors import ConfigError, GL002Error
from gl002.flow.bindings import Bindings
from gl002.flow.gateway import Gateway
from gl002.model import is_bad, is_good, quality_name

_CONFIG = 78
_MOST_NAMED = 5  # tags named in one line


class Finding(NamedTuple):
    """One line of the report: 'ok', 'WARN' or 'FAIL', what it is about, what was found."""

    level: str
    about: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help=f"default {DEFAULT_FILE}")
    parser.add_argument("--online", action="store_true", help="also connect and read")
    parser.add_argument("--json", action="store_true", help="for scripts: one finding a line")


def run(args: argparse.Namespace) -> int:
    """Report; 78 where the file is wrong, 1 where a peer is."""
    try:
        config = load(args.file)
        gateway = Gateway(config)
    except ConfigError as error:
        return _wrong(error, json=args.json)
    reach = (config, gateway.connectors, gateway.context.network)
    placed = [("FAIL", problem) for problem in shut_out(*reach)]
    findings = _offline(config) + _warned(gateway) + list(_without_source(gateway))
    if args.online:
        findings += asyncio.run(_online(gateway))
    else:
        placed += [("WARN", problem) for problem in depends_on_names(*reach)]
    for level, problem in placed:
        if args.json:
            _problem_as_json(problem, level)
        else:
            print(plain(f"  {level:5} {'network.allow':20} {problem}"))
    for finding in findings:
        if args.json:
            as_json(finding._asdict())
        else:
            print(plain(f"  {finding.level:5} {finding.about:20} {finding.text}"))
    levels = [finding.level for finding in findings] + [level for level, _ in placed]
    failures, warnings = levels.count("FAIL"), levels.count("WARN")
    say(f"{failures} failures, {warnings} warnings")
    if any(level == "FAIL" for level, _ in placed):
        return _CONFIG
    return 1 if failures else 0


def _wrong(error: ConfigError, *, json: bool) -> int:
    known = error.problems if isinstance(error, InvalidConfig) else []
    problems = known or [Problem((), str(error.args[0]), error.hint)]
    if json:
        for problem in problems:
            _problem_as_json(problem)
        return _CONFIG
    print(plain(str(error)), file=sys.stderr)
    if known:
        say(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}")
    return _CONFIG


def _problem_as_json(problem: Problem, level: str = "FAIL") -> None:
    mark = problem.mark
    where = {"file": mark.file, "line": mark.line, "column": mark.column} if mark else {}
    path = ".".join(map(str, problem.path))
    as_json({"level": level, **where, "path": path, "text": problem.message, "hint": problem.hint})


def _offline(config: GatewayConfig) -> list[Finding]:
    found = [
        Finding("ok", "configuration",
                f"{len(config.connections)} connections, {len(config.inputs)} inputs, "
                f"{len(config.outputs)} outputs")
    ]  # fmt: skip
    if not config.inputs:
        found.append(Finding("WARN", "data_flow.input", "is empty: nothing would be read"))
    used = {name for name, _ in [*config.inputs, *config.outputs, *config.actions]}
    unused = config.connections.keys() - used
    found += [Finding("WARN", name, "is used by no input and no output") for name in unused]
    if config.actions and "name" not in config.sections.gateway.model_fields_set:
        text = "is not set: two gateways of one name take each other's documents for their own"
        found.append(Finding("WARN", "gateway.name", text))
    found += [
        Finding("WARN", name, f"{action.action} is done without an approval")
        for name, action in config.actions
        if not (action.approval or action.dry_run)
    ]
    mode = config.sections.writes.mode
    if mode != "off":
        points = len(config.sections.writes.points)
        found.append(Finding("WARN", "writes", f"mode {mode}, {points} points may be written"))
    return found


def _warned(gateway: Gateway) -> list[Finding]:
    """What the connectors themselves find before anything is sent."""
    found = []
    for name, connector in gateway.connectors.items():
        inputs = [spec for connection, spec in gateway.config.inputs if connection == name]
        found += [Finding("WARN", name, text) for text in connector.warnings(inputs)]
    return found


def _without_source(gateway: Gateway) -> Iterator[Finding]:
    """Names of tags that nothing delivers: misspelt, most often, and then a setting for nothing.

    Said only where the names of all inputs are known before their values come.
    """
    delivered = [intake.source.tags() for intake in gateway.inputs]
    if not gateway.config.inputs or not all(delivered):
        return
    known = [tag.name for tags in delivered for tag in tags]
    for place, pattern in _named(gateway):
        if not fnmatch.filter(known, pattern) and pattern not in known:
            close = difflib.get_close_matches(pattern, known, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            yield Finding("WARN", place, f"no input delivers '{pattern}'{meant}")


def _named(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Where the configuration names tags, and the names or patterns that stand there."""
    sections = gateway.config.sections
    for name in sections.tags:
        yield f"tags.{name}", name
    for name, calculated in sections.calculated.items():
        for tag in Expression(calculated.expression).tags:
            yield f"calculated.{name}", tag
    for name, boiler in sections.boilers.items():
        for role, tag in Bindings(name, boiler, gateway.context.tags).tags.items():
            yield f"boilers.{name}.{role}", tag
    for connection, output in gateway.config.outputs:
        for pattern in output.tags or ():
            yield f"output {output.name or connection}", pattern


async def _online(gateway: Gateway) -> list[Finding]:
    """Each connection by itself: a dead one delays the others by its own time-out at most."""
    try:
        reports = await asyncio.gather(
            *(_peer(gateway, name) for name in gateway.connectors), return_exceptions=False
        )
    finally:
        for connector in gateway.connectors.values():
            await connector.close()
        await asyncio.to_thread(gateway.context.audit.close)
    return [finding for report in reports for finding in report]


async def _peer(gateway: Gateway, name: str) -> list[Finding]:
    connector = gateway.connectors[name]
    health = await connector.check()
    if not health.ok:
        return [Finding("FAIL", name, health.detail)]
    found = [Finding("ok", name, f"{health.detail}, {health.latency * 1000:.0f} ms")]
    found += [Finding("WARN", name, note) for note in health.notes]
    for connection, spec in gateway.config.inputs:
        if connection == name:
            found += await _tags(
                connector, name, [tag.name for tag in connector.source(spec).tags()]
            )
    for connection, output in gateway.config.outputs:
        if connection == name:
            found.append(await _destination(connector, name, output))
    return found


async def _tags(connector: Any, name: str, tags: list[str]) -> list[Finding]:
    from gl002.connector import Capability

    if not tags or Capability.READ not in connector.can:
        return []
    try:
        samples = await connector.read(tags)
    except GL002Error as error:
        return [Finding("FAIL", name, str(error))]
    good = sum(1 for sample in samples if is_good(sample.quality))
    found = [
        Finding(
            "ok" if good else "FAIL", name, f"{good}/{len(samples)} tags read with good quality"
        )
    ]
    bad = [s for s in samples if is_bad(s.quality)]
    found += [
        Finding("FAIL", name, f"{sample.tag}: {quality_name(sample.quality)}")
        for sample in bad[:_MOST_NAMED]
    ]
    if len(bad) > _MOST_NAMED:
        found.append(Finding("FAIL", name, f"and {len(bad) - _MOST_NAMED} more"))
    return found


async def _destination(connector: Any, name: str, output: Any) -> Finding:
    sink = connector.sink(output)
    try:
        await sink.prepare()
    except GL002Error as error:
        return Finding("FAIL", name, f"as output: {error}")
    finally:
        await sink.close()
    return Finding("ok", name, "ready as output")
