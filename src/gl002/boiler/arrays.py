"""Numpy, for the parts of the engine that work on records: the live efficiency does without it."""

from __future__ import annotations

from typing import TypeAlias

from gl002.errors import require

require("numpy", extra="boiler")

import numpy as np  # noqa: E402 - after the check, whose message says how to install it
import numpy.typing as npt  # noqa: E402 - as above

__all__ = ["Array", "Mask", "np", "npt"]

Array: TypeAlias = npt.NDArray[np.float64]
"""Numbers of one tag over time, or a matrix of them."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""Which of some numbers are meant."""
