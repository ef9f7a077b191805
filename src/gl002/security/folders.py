"""Folders that only this user may look into."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_private"]


def make_private(folder: Path) -> None:
    """Make a folder and those around it that are missing; one that is there stays as it is.

    `Path.mkdir` gives its mode to the innermost only: the state folder around it, made on the way,
    would let everybody read what lies in it. Safe to call twice.

    Raises:
        OSError: it cannot be made, or something else is there.
    """
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
