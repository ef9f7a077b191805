"""References to values kept elsewhere: `${VAR}`, `${env:VAR:-default}`, `${file:path}`.

And in secret stores: `${vault:path#key}`, `${aws-sm:name#key}`, `${azure-kv:vault/name}`.

>>> resolve("opc.tcp://${HOST:-localhost}:4840", {}, Path())
'opc.tcp://localhost:4840'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from gl002.errors import ConfigError

_REFERENCE = re.compile(r"\$\$|\$\{(?P<body>[^{}]*)\}|(?P<open>\$\{)")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LONGEST_FILE = 1 << 16
_KNOWN = (
    "known: ${NAME}, ${NAME:-default}, ${env:NAME}, ${file:path}, ${vault:path#key}, "
    "${aws-sm:name#key}, ${azure-kv:vault/name}; $$ is a plain $"
)

StoreName: TypeAlias = Literal["vault", "aws-sm", "azure-kv"]
STORES: frozenset[str] = frozenset(get_args(StoreName))


class StoreReference(NamedTuple):
    """A value in a secret store.

    Attributes:
        store: which one.
        name: of the secret there.
        key: of a secret that holds several values; '' for the whole.
    """

    store: StoreName
    name: str
    key: str

    def __str__(self) -> str:
        return f"${{{self.store}:{self.name}{'#' if self.key else ''}{self.key}}}"

    @classmethod
    def of(cls, store: str, rest: str) -> StoreReference:
        """From what stands after the scheme.

        Raises:
            ConfigError: it names no secret.
        """
        name, _, key = rest.partition("#")
        if not name.strip() or name != name.strip():
            raise ConfigError(f"'${{{store}:{rest}}}' names no secret", hint=_KNOWN)
        return cls(cast("StoreName", store), name, key)


def _not_now(reference: StoreReference) -> str:
    raise ConfigError(
        f"{reference}: no secret store is asked here", hint="a variable or a file can stand here"
    )


def has_reference(text: str) -> bool:
    """Whether `resolve` would change the text."""
    return _REFERENCE.search(text) is not None


def in_stores(text: str) -> Iterator[StoreReference]:
    """The references of a text to secret stores; those that are none are left to `resolve`."""
    for match in _REFERENCE.finditer(text):
        scheme, colon, rest = (match["body"] or "").partition(":")
        if colon and scheme in STORES and rest.partition("#")[0].strip():
            yield StoreReference.of(scheme, rest)


def resolve(
    text: str,
    environ: Mapping[str, str],
    folder: Path,
    stored: Callable[[StoreReference], str] = _not_now,
) -> str:
    """Replace every reference; what comes in is not looked at again. `$$` is one `$`.

    Args:
        text: a scalar of the configuration.
        environ: the environment variables.
        folder: where relative paths of `${file:}` start.
        stored: gives what is in a secret store.

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
        return "$" if body is None else _look_up(body, environ, folder, stored)

    return _REFERENCE.sub(replacement, text)


def _look_up(
    body: str,
    environ: Mapping[str, str],
    folder: Path,
    stored: Callable[[StoreReference], str],
) -> str:
    scheme, colon, rest = body.partition(":")
    if colon and scheme in STORES:
        return stored(StoreReference.of(scheme, rest))
    if colon and scheme == "file":
        return _from_file(folder / rest)
    if colon and scheme == "env":
        body = rest
    elif colon and not rest.startswith("-"):
        raise ConfigError(
            f"'${{{scheme}:...}}' is no kind of reference known here",
            hint=_KNOWN,
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
