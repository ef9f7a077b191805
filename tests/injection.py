"""Strings that try to be more than a name: 300 and more, for every place that takes one."""

from __future__ import annotations

_ENDS = [
    '"',
    "'",
    '\\"',
    "\\'",
    "`",
    "\\",
    "\\\\",
    '"]',
    '")',
    "')",
    '"})',
    "*/",
    "--",
    "\n",
    "\r\n",
    "",
]
_STARTS = ["", "x", "x ", "é", "boiler1.o2"]
_DEEDS = [
    ") |> drop()", ' |> to(bucket: "other")', ') |> yield(name: "x") //',
    "; DROP DATABASE gl002",
    "; DROP MEASUREMENT samples --", " OR 1=1", " or true", " UNION SELECT 1", "${now()}",
    '${"x" + "y"}', ' == r["x"]) |> limit(n: 1', "// comment", "/* comment */", "# comment",
    " INTO stolen FROM m", ",other=1 v=2 3", " v=1 2\nstolen v=1", "=1,", "\\ ", "\\,", "%22",
    "$v0",
]  # fmt: skip
_ODD = [
    "\0", "\x1b[31m", "\u202e", "\ud800", "\u2028", "\u200b", "nan", "null", "None", "true", "0",
    "' OR ''='", "../../etc/passwd", "{field}", "{{", "%s%n", "$(reboot)", "<script>", "a" * 300,
    "🔥", "ß", "ﬀ", "\t", " ", "=", ",", "\\n", "r._value", "(r) => true", 'import "os"',
]  # fmt: skip

CORPUS = list(
    dict.fromkeys(
        [*(start + end + deed for start in _STARTS[:2] for end in _ENDS for deed in _DEEDS[:10]),
         *(start + deed + end for start in _STARTS[2:] for end in _ENDS[:3] for deed in _DEEDS[9:]),
         *_ODD]
    )
)  # fmt: skip
