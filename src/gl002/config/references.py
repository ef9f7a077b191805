"""Fill in references, after parsing and on scalars only: no file can inject YAML through them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as Folder
from typing import Any

from gl002.config.problems import Path, Problem
from gl002.errors import ConfigError
from gl002.security.references import has_reference, resolve

UNKNOWN = "value-not-known"
"""Stands for what could not be filled in. A problem that quotes it is only an echo."""


def filled_in(
    data: Any, environ: Mapping[str, str], folder: Folder, problems: list[Problem], path: Path = ()
) -> Any:
    """A copy of `data` with every reference replaced; what cannot be is added to `problems`.

    A missing value becomes `UNKNOWN` so that the rest can be checked too.
    """
    if isinstance(data, dict):
        return {
            key: filled_in(value, environ, folder, problems, (*path, key))
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [
            filled_in(value, environ, folder, problems, (*path, i)) for i, value in enumerate(data)
        ]
    if isinstance(data, str) and has_reference(data):
        try:
            return resolve(data, environ, folder)
        except ConfigError as error:
            problems.append(Problem(path, str(error.args[0]), error.hint))
            return UNKNOWN
    return data
