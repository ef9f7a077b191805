"""References to values kept elsewhere: `${VAR}`, `${env:VAR:-default}`, `${file:path}`.

>>> resolve("opc.tcp://${HOST:-localhost}:4840", {}, Path())
'opc.tcp://localhost:4840'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gl002.errors import ConfigError

_REFERENCE = re.compile(r"\$\$|\$\{(?P<body>[^{}]*)\}|(?P<open>\$\{)")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LONGEST_FILE = 1 << 16


def has_reference(text: str) -> bool:
    """Whether `resolve` would change the text."""
    return _REFERENCE.search(text) is not None


def resolve(text: str, environ: Mapping[str, str], folder: Path) -> str:
    """Replace every reference; what comes in is not looked at again. `$$` is one `$`.

    Args:
        text: a scalar of the configuration.
        environ: the environment variables.
        folder: where relative paths of `${file:}` start.

    Raises:
        ConfigError: names the variable or file that is missing, never a value.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["open"]:
            raise ConfigError(
                "a reference '${' does not end, or has another one inside",
                hint="write ${NAME} or ${NAME:-default}; $$ is a plain $",
            )
        body = match["body"]
        return "$" if body is None else _look_up(body, environ, folder)

    return _REFERENCE.sub(replacement, text)


def _look_up(body: str, environ: Mapping[str, str], folder: Path) -> str:
    scheme, colon, rest = body.partition(":")
    if colon and scheme == "file":
        return _from_file(folder / rest)
    if colon and scheme == "env":
        body = rest
    elif colon and not rest.startswith("-"):
        raise ConfigError(
            f"'${{{scheme}:...}}' is no kind of reference known here",
            hint="known: ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:path}; $$ is a plain $",
        )
    name, _, default = body.partition(":-")
    if not _VARIABLE.match(name):
        raise ConfigError(f"'{name}' is no name of an environment variable")
    value = environ.get(name) or (default if ":-" in body else None)
    if value is None:
        raise ConfigError(
            f"the environment variable {name} is {'empty' if name in environ else 'not set'}",
            hint=f"set it, or give a default: ${{{name}:-value}}",
        )
    return value


def _from_file(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
        if path.stat().st_size > _LONGEST_FILE:
            raise ConfigError(f"{path}: longer than {_LONGEST_FILE} bytes, no secret is")
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
