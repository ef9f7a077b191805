"""Fill in references, after parsing and on scalars only: no file can inject YAML through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as Folder
from typing import Any, Protocol

from gl002.config.problems import Path, Problem, dotted, shortened
from gl002.errors import ConfigError
from gl002.security.references import StoreReference, has_reference, in_stores, resolve
from gl002.security.secrets import Living, Redactor, StoredText

UNKNOWN = "value-not-known"
"""Stands for what could not be filled in. A problem that quotes it is only an echo."""


class Stores(Protocol):
    """What gives values of secret stores: `gl002.transport.secrets.stores.SecretStores`."""

    def value(self, reference: StoreReference) -> str:
        """The value now; a `ConfigError` where there is none."""

    def keep(self, living: Living) -> None:
        """Bring a text up to date when its values change."""


def filled_in(
    data: Any,
    environ: Mapping[str, str],
    folder: Folder,
    problems: list[Problem],
    path: Path = (),
    *,
    stores: Stores | None = None,
) -> Any:
    """A copy of `data` with every reference replaced; what cannot be is added to `problems`.

    A missing value becomes `UNKNOWN` so that the rest can be checked too.
    """
    if isinstance(data, dict):
        return {
            key: filled_in(value, environ, folder, problems, (*path, key), stores=stores)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [
            filled_in(value, environ, folder, problems, (*path, i), stores=stores)
            for i, value in enumerate(data)
        ]
    if isinstance(data, str) and has_reference(data):
        try:
            return _resolved(data, environ, folder, path, stores)
        except ConfigError as error:
            problems.append(Problem(path, str(error.args[0]), error.hint))
            return UNKNOWN
    return data


def _resolved(
    text: str, environ: Mapping[str, str], folder: Folder, path: Path, stores: Stores | None
) -> str:
    if stores is None or not any(in_stores(text)):
        return resolve(text, environ, folder)
    living = Living(dotted(path), lambda: resolve(text, environ, folder, stores.value))
    Redactor.remember(living.text)
    stores.keep(living)
    return StoredText(living)


def without_values(problems: Iterable[Problem], data: Any, filled: Any) -> Iterator[Problem]:
    """The problems with references in place of what was filled in for them: it may be a secret.

    Args:
        problems: of the filled in configuration.
        data: as it stands in the file.
        filled: the same, filled in.
    """
    forms = {
        form: f"'{reference}'"
        for value, reference in _values(data, filled)
        for text in (value, shortened(value))
        for form in (f"'{text}'", repr(text))
        if value
    }
    for problem in problems:
        message, hint = problem.message, problem.hint
        for form, reference in forms.items():
            message, hint = message.replace(form, reference), hint.replace(form, reference)
        yield replace(problem, message=message, hint=hint)


def _values(data: Any, filled: Any) -> Iterator[tuple[str, str]]:
    """What each reference became, and the reference."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _values(value, filled[key])
    elif isinstance(data, list):
        for value, other in zip(data, filled, strict=True):
            yield from _values(value, other)
    elif isinstance(data, str) and has_reference(data) and filled != UNKNOWN:
        yield str(filled), data


def store_references(data: Any) -> Iterator[StoreReference]:
    """Every reference to a secret store in a file."""
    if isinstance(data, str):
        yield from in_stores(data)
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from store_references(inner)
