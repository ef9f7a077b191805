"""Print the JSON Schema of integrations.yaml: your editor completes and checks as you type.

Examples:
  gl002 schema > integrations.schema.json
  # first line of integrations.yaml, for the YAML extension of many editors:
  # yaml-language-server: $schema=integrations.schema.json
"""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has none."""


def run(_: argparse.Namespace) -> int:
    """Print the schema."""
    from gl002.config.schema import schema

    print(json.dumps(schema(), indent=2))
    return 0
