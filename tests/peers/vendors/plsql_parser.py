"""sqlfluff's grammar of Oracle: SQL and PL/SQL.

Takes JSON, name -> statement. Prints JSON, name -> what it cannot parse, '' where it can.
"""

from __future__ import annotations

import json
import sys

from sqlfluff.core import FluffConfig, Linter

config = FluffConfig(overrides={"dialect": "oracle"})
found = {}
for name, text in json.loads(sys.argv[1]).items():
    is_query = text.lstrip().upper().startswith("SELECT")
    parsed = Linter(config=config).parse_string(text + (";\n" if is_query else "\n/\n"))
    found[name] = "; ".join(problem.desc() for problem in parsed.violations)
print(json.dumps(found))
