"""What sqlglot makes of statements for BigQuery: argument SQL; prints the kinds of statements."""

from __future__ import annotations

import json
import sys

import sqlglot

print(json.dumps([s.key.upper() for s in sqlglot.parse(sys.argv[1], dialect="bigquery")]))
