"""Strings that have meant something to some database, and must mean nothing here: 300 and more.

Built from the shapes that cheat sheets list: quotes, comments, unions, stacked statements,
booleans, delays, casts, dollar quotes, escapes, encodings, format strings.
"""

from __future__ import annotations

from itertools import product

VICTIM = "canary"
"""A table that no string may reach."""

_ENDS = ["--", "-- -", "#", "/*", ";--", ";#", ";/*", "", ";"]
_QUOTES = ["'", '"', "`", "')", "'))", '")', "$$", "$a$", "\\'", "''", "]", "\\"]
_STACKED = [
    "DROP TABLE canary",
    "DELETE FROM canary",
    "UPDATE canary SET secret = 'gone'",
    "INSERT INTO canary VALUES ('added')",
    "TRUNCATE canary",
    "ALTER TABLE canary ADD COLUMN x int",
    "CREATE TABLE loot AS SELECT * FROM canary",
    "COPY canary TO PROGRAM 'touch /tmp/gl002-was-here'",
    "GRANT ALL ON canary TO PUBLIC",
    "ATTACH DATABASE '/tmp/gl002-was-here.db' AS loot",
    "PRAGMA writable_schema = ON",
    "COMMIT; DROP TABLE canary",
    "ROLLBACK; DROP TABLE canary; BEGIN",
    "SET TRANSACTION READ WRITE; DROP TABLE canary",
]
_BOOLEANS = [
    " OR 1=1", " OR '1'='1", " AND 1=2", " OR TRUE", " OR ''=''", " OR 1 IS NOT NULL",
    " || (SELECT secret FROM canary)", " UNION SELECT secret FROM canary",
    " UNION ALL SELECT NULL, secret, NULL FROM canary", " LIMIT 1 OFFSET 1", " ORDER BY 99",
    " AND (SELECT count(*) FROM canary) > 0", " HAVING 1=1", " GROUP BY 1",
]  # fmt: skip
_DELAYS = [
    "1; SELECT pg_sleep(30)", "'; SELECT pg_sleep(30); --", "1' || pg_sleep(30) || '",
    "(SELECT 1 FROM pg_sleep(30))", "'; WAITFOR DELAY '0:0:30'; --", "1 AND SLEEP(30)",
    "1; SELECT randomblob(1000000000)",
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT 1 FROM n)",
]  # fmt: skip
_FORMATS = [
    "%s", "%(name)s", "%%s", "%n%n%n", "{table}", "{0}", "{0.__class__}", "{}", "$1", "$2::text",
    ":id", ":tag", "?", "?1", "@x", "{{7*7}}", "${jndi:ldap://x}", "%00", "%27", "&#39;", "\\x27",
    "\\u0027", "U&'\\0027'", "E'\\''", "x'27'", "0x27", "CHAR(39)", "chr(39)", "N'x'", "B'1'",
]  # fmt: skip
_NAMES = [
    "canary", "public.canary", "pg_catalog.pg_user", "information_schema.tables", "sqlite_schema",
    "sqlite_master", "pg_shadow", "samples; canary", "samples, canary", "samples canary",
    "samples AS s", "samples CROSS JOIN canary", "(SELECT * FROM canary)", "a.b.c", "a..b", ".a",
    "a.", "..", "1a", "-", "a-b", "a b", " a", "a ", "a\tb", "a\nb", "a\rb", "select", "TABLE",
    "a" * 64, "ä" * 40, "a\u2019b", "a\u02bcb", "\uff07", "\u201d", "a\u0000b"[:1] + "\u0001b",
    "\u202eabc", "\ufeffa", "a\u200bb", "tag", "time", "value", "ctid", "xmin", "rowid", "*",
    "samples.*", "public.*", "a)", "(a", "[a]", "{a}", "a::text", "a=1", "a;b", "a'b", 'a"b',
    "a`b", "a\\b", "a/b", "a#b", "a%b", "a&b", "a|b", "a!b", "a~b", "a^b", "a@b", "a,b",
]  # fmt: skip
_INTERVALS = [
    "1 day'", "1 day; DROP TABLE canary", "1 day')); DROP TABLE canary; --", "1 day' || '",
    "'1 day'", "INTERVAL '1 day'", "1 day, true", "(SELECT interval '1 day')", "now()",
    "1 day' + interval '1 day", "-1 days'--", "1 day/**/OR/**/1=1", "P1D'; SELECT 1", "1 day\\'",
]  # fmt: skip


def corpus() -> list[str]:
    """Every string, once."""
    made = [f"x{quote}{end}" for quote, end in product(_QUOTES, _ENDS)]
    made += [f"{quote}; {attack}; --" for attack in _STACKED for quote in ("x'", 'x"', "x')", "x")]
    made += [f"{quote}{attack}{end}" for attack in _BOOLEANS for quote in ("x'", 'x"', "1")
             for end in ("", " --")]  # fmt: skip
    return list(dict.fromkeys([*made, *_DELAYS, *_FORMATS, *_NAMES, *_INTERVALS]))
