"""Names that load their module on first use, so that importing a package imports no driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def lazily(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """A module's `__getattr__` for public names that live in its submodules.

    Args:
        package: the package's `__name__`.
        names: public name -> submodule that defines it.
    """

    def load(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(f"{package}.{names[name]}"), name)

    return load
