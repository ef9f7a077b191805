"""Copy history from a connector into an output, through the same steps as live values.

FROM and TO are times; writing samples that are already there does no harm. If it was stopped or
failed, the same command resumes. The history of an input gets the scales and units that `tags:`
declares; history from elsewhere, such as another gateway's database, is taken as is.

Examples:
  gl002 backfill 2026-11-01 2026-11-08 --source postgresql.old --output timescale
  gl002 backfill "30 days" now --source sqlite --output postgresql --tag "boiler1.*"
  gl002 backfill 2026-11-01 2026-11-02 --source sqlite:///backup/h.sqlite --output sqlite
  gl002 backfill 9h 8h --range 3h/2h --source postgresql --output sqlite
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
from collections.abc import Sequence
from typing import Any, NamedTuple

from gl002.cli.moments import FORMS, duration, iso, moment
from gl002.cli.output import as_json, say, table
from gl002.cli.progress import Progress
from gl002.cli.target import add_file
from gl002.config.flow import OutputSettings
from gl002.config.load import load
from gl002.config.problems import near
from gl002.connector import Capability, Connector
from gl002.errors import ConfigError, GL002Error
from gl002.flow.backfill import Backfill, Checkpoints, Gap, Job, TagCount
from gl002.flow.gateway import Gateway
from gl002.flow.steps import Steps
from gl002.model import Quality, Tag
from gl002.registry import connector, kind_of

_ROWS = 50  # lines of the summary for people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("start", metavar="FROM", help=FORMS)
    parser.add_argument("end", metavar="TO", help="end, not included")
    parser.add_argument("--source", required=True, help="a connection of the file, or a URL")
    parser.add_argument("--output", required=True, help="an output of the file, or a connection")
    parser.add_argument(
        "--range", action="append", default=[], metavar="FROM/TO", help="another range as well"
    )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG",
        help="only these; '*' stands for any characters; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--step", type=duration, default="1 day", help="length of a window, default 1 day"
    )
    parser.add_argument(
        "--gap", type=duration, default="15m",
        help="report longer times without a usable sample as gaps, default 15m",
    )  # fmt: skip
    parser.add_argument(
        "--steps", action=argparse.BooleanOptionalAction,
        help="apply scale, unit, range of `tags:`; by default to inputs of the file only",
    )  # fmt: skip
    parser.add_argument("--restart", action="store_true", help="start over instead of resuming")
    parser.add_argument("--json", action="store_true", help="summary for scripts: one tag per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Deliver and sum up; exits 1 where samples were refused, or a tag or all have none."""
    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        say("stopped; the same command goes on where it was")
        raise


class _Ends(NamedTuple):
    source: Connector[Any]
    target: Connector[Any]
    output: str
    settings: OutputSettings


async def _run(args: argparse.Namespace) -> int:
    gateway = Gateway(load(args.config))
    ends = _ends(gateway, args)
    checkpoints = Checkpoints(gateway.config.state_dir / "backfill")
    file = checkpoints.file(_asked(args))
    if args.restart:
        checkpoints.forget(file)
    try:
        job = checkpoints.load(file) or await _new_job(gateway, ends.source, args)
        if job.done:
            whole = f"from {iso(job.ranges[0][0])} to {iso(job.ranges[-1][1])}"
            say(f"going on after {job.done} of {len(job)} windows {whole}; --restart begins anew")
        backfill = Backfill(
            ends.source, ends.target.sink(ends.settings), output=ends.output, job=job,
            steps=_steps(gateway, args), batch_size=ends.settings.batch_size,
            letters=gateway.letters, save=lambda job: checkpoints.save(file, job),
        )  # fmt: skip
        with Progress(len(job)) as progress:
            await backfill.run(progress.show)
        checkpoints.forget(file)
    except ConfigError:
        raise  # another command is needed
    except GL002Error as error:
        error.hint = "; ".join(filter(None, [error.hint, "the same command goes on where it was"]))
        raise
    finally:
        await asyncio.gather(ends.source.close(), ends.target.close())
        await asyncio.to_thread(gateway.context.audit.close)
    return _sum_up(job, ends, json=args.json)


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What makes it the same command."""
    names = ("start", "end", "range", "source", "output", "tag", "step", "gap", "steps", "config")
    return {name: getattr(args, name) for name in names}


def _steps(gateway: Gateway, args: argparse.Namespace) -> Steps | None:
    inputs = {name for name, _ in gateway.config.inputs}
    wanted = args.source in inputs if args.steps is None else args.steps
    return Steps(gateway.config.sections.tags, gateway.context.tags) if wanted else None


# ---- both ends ----------------------------------------------------------------------------------


def _ends(gateway: Gateway, args: argparse.Namespace) -> _Ends:
    source = _source(gateway, args.source)
    if Capability.HISTORY not in source.can:
        raise ConfigError(f"--source {args.source} keeps no history")
    for name, settings in gateway.config.outputs:
        if args.output in {settings.name, name}:
            break
    else:
        name, settings = args.output, _default_output(gateway, args.output)
    if name == args.source:
        raise ConfigError(f"'{name}' is both source and output", hint="name two connections")
    return _Ends(source, gateway.connectors[name], settings.name or name, settings)


def _source(gateway: Gateway, name: str) -> Connector[Any]:
    if "://" in name:
        cls = connector(kind_of(name))
        return cls(cls.settings_of(name), name=f"{cls.kind}.source", context=gateway.context)
    if name not in gateway.connectors:
        hint = near(name, gateway.connectors)
        raise ConfigError(f"--source: there is no connection '{name}'", hint=hint)
    return gateway.connectors[name]


def _default_output(gateway: Gateway, name: str) -> OutputSettings:
    """Settings for a connection that no output of the file names."""
    if name not in gateway.connectors:
        hint = near(name, gateway.connectors)
        raise ConfigError(f"--output: there is no connection '{name}'", hint=hint)
    cls = type(gateway.connectors[name])
    if cls.Output is None:
        raise ConfigError(f"--output: {name} only gives values")
    return cls.Output.parse({"destination": name}, "--output")


# ---- the job ------------------------------------------------------------------------------------


async def _new_job(gateway: Gateway, source: Connector[Any], args: argparse.Namespace) -> Job:
    ranges = [_range(args.start, args.end)]
    for text in args.range:
        start, slash, end = text.partition("/")
        if not slash:
            raise ConfigError(f"--range {text}: write FROM/TO")
        ranges.append(_range(start, end))
    tags, prefix = await _tags(gateway, source, args)
    if not tags:
        raise ConfigError(f"{args.source} has no such tag: {', '.join(args.tag) or 'none at all'}")
    return Job(
        ranges=_joined(ranges), step=int(args.step * 1e9), threshold=int(args.gap * 1e9),
        tags=tags, prefix=prefix,
        unknown=[name for name in dict.fromkeys(args.tag) if not _wanted(tags, [name])],
    )  # fmt: skip


def _range(start: str, end: str) -> tuple[int, int]:
    try:
        begins, ends = moment(start), moment(end)
    except argparse.ArgumentTypeError as error:
        raise ConfigError(str(error)) from None
    if begins >= ends:
        raise ConfigError(f"the range {start} to {end} is empty")
    return begins, ends


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


async def _tags(
    gateway: Gateway, source: Connector[Any], args: argparse.Namespace
) -> tuple[list[str], str]:
    """What an input of the file reads, and its prefix; of other connections everything."""
    specs = [spec for name, spec in gateway.config.inputs if name == args.source]
    named = [tag.name for spec in specs for tag in source.source(spec).tags()]
    if named:
        return _wanted(named, args.tag), ""
    prefix = specs[0].prefix if specs else ""
    found = [thing async for thing in source.browse()]
    for thing in found:
        gateway.context.tags.declare(
            Tag(name=prefix + thing.address, unit=thing.unit, description=thing.description)
        )
    listed = [thing.address for thing in found]
    names = _wanted(listed + await _not_listed(source, listed, args.tag), args.tag)
    patterns = getattr(specs[0], "tags", None) if specs else None
    return _wanted(names, patterns or []), prefix


async def _not_listed(
    source: Connector[Any], listed: Sequence[str], asked: Sequence[str]
) -> list[str]:
    """Names that lie too deep for a browse, or are none of its things, and can be read."""
    names = [name for name in asked if name not in listed]
    if not names or Capability.READ not in source.can:
        return []
    unknown = int(Quality.BAD_NODE_ID_UNKNOWN)
    return [sample.tag for sample in await source.read(names) if sample.quality != unknown]


def _wanted(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those that match a pattern, each once; all where there is none."""
    return [
        name
        for name in dict.fromkeys(names)
        if not patterns
        or name in patterns
        or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


# ---- the summary --------------------------------------------------------------------------------


def _sum_up(job: Job, ends: _Ends, *, json: bool) -> int:
    samples = sum(count.samples for count in job.counts.values())
    without = {**job.without, **dict.fromkeys(job.unknown, "there is no such tag")}
    if json:
        gaps: dict[str, list[Gap]] = {}
        for gap in job.gaps:
            gaps.setdefault(gap.tag, []).append(gap)
        for tag, count in {**job.counts, **dict.fromkeys(job.unknown, TagCount())}.items():
            stretches = [(iso(gap.start), iso(gap.end)) for gap in gaps.get(tag, ())]
            as_json(
                {"tag": tag, "samples": count.samples, "bad": count.bad, "gaps": count.gaps,
                 "missing_seconds": count.missing / 1e9, "list": stretches,
                 "error": without.get(tag, "")}
            )  # fmt: skip
    else:
        _print(job)
    for tag, reason in list(without.items())[:_ROWS]:
        say(f"no history of {tag}: {reason}")
    say(
        f"{samples:,} samples of {len(job.counts)} tags delivered to {ends.output}, "
        f"{job.refused:,} of them refused (gl002 dlq list {ends.output}), "
        f"{sum(c.gaps for c in job.counts.values()):,} gaps"
    )
    return 1 if job.refused or without or not samples else 0


def _print(job: Job) -> None:
    """The tags with the most missing, and the longest gaps."""
    whole = sum(end - start for start, end in job.ranges)
    worst = sorted(job.counts.items(), key=lambda item: (-item[1].missing, item[0]))
    table(
        ("tag", "samples", "bad", "gaps", "missing %"),
        [(tag, c.samples, c.bad, c.gaps, 100 * c.missing / whole) for tag, c in worst[:_ROWS]],
    )
    if len(worst) > _ROWS:
        say(f"and {len(worst) - _ROWS} tags more: --json")
    longest = sorted(job.gaps, key=lambda gap: gap.start - gap.end)[:_ROWS]
    if longest:
        table(
            ("longest gaps", "from", "to", "minutes"),
            [(g.tag, iso(g.start), iso(g.end), (g.end - g.start) / 60e9) for g in longest],
        )
