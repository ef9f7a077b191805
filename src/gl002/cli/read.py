"""Read values once and print them with their time and quality.

Examples:
  gl002 read opc.tcp://10.0.0.5:4840 "ns=2;s=FT101.PV" "ns=2;s=PT101.PV"
  gl002 read modbus://10.0.0.7:502/1 40001 40003
  gl002 read modbus.boiler1 steam_flow -c integrations.yaml --json
"""

from __future__ import annotations

import argparse
from typing import Any

from gl002.cli.output import SAMPLE_COLUMNS, as_json, sample_json, sample_row, table
from gl002.cli.target import add_target, opened, with_connector
from gl002.connector import Connector
from gl002.model import Sample, is_good


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("tags", nargs="+", metavar="TAG", help="node, register or configured name")
    parser.add_argument("--json", action="store_true", help="for scripts: one value per line")


def run(args: argparse.Namespace) -> int:
    """Read and print; exits 1 where a value is not good."""

    async def read(connector: Connector[Any]) -> list[Sample]:
        return await connector.read(args.tags)

    connector = opened(args)
    samples = with_connector(connector, read)
    unit = connector.context.tags.unit
    if args.json:
        for sample in samples:
            as_json(sample_json(sample, unit(sample.tag)))
    else:
        table(SAMPLE_COLUMNS, [sample_row(sample, unit(sample.tag)) for sample in samples])
    return 0 if all(is_good(sample.quality) for sample in samples) else 1
