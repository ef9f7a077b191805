"""What was learned about a boiler from a time in which all was well, and its form on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from gl002.boiler.analysis import Fuel
from gl002.boiler.baseline import Baseline
from gl002.boiler.watch import Usual
from gl002.errors import DataError

_SAME = 0.01  # share by which ratios of one kind of fuel may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Named baselines of one boiler: the one thing the engine remembers.

    Attributes:
        boiler: name.
        start: first moment it was learned from, ns since 1970.
        end: after the last moment.
        usual: of the instruments; None where the record was too short.
        stack: temperature of the clean stack; None where its roles are missing.
        fuel: fuel heat (kW) over steam and air temperature, for verified savings; None likewise.
        burnt: what it burnt meanwhile; None in files of older versions.
        reasons: why a part is missing, in sentences.
    """

    boiler: str
    start: int
    end: int
    usual: Usual | None = None
    stack: Baseline | None = None
    fuel: Baseline | None = None
    burnt: Fuel | None = None
    reasons: tuple[str, ...] = ()

    def holds(self, fuel: Fuel) -> bool:
        """Whether it was learned from a fuel of this kind: its air and its water per heat."""
        if self.burnt is None:
            return True
        return self.burnt.per == fuel.per and all(
            math.isclose(one / self.burnt.hhv, other / fuel.hhv, rel_tol=_SAME)
            for one, other in (
                (self.burnt.oxygen_demand, fuel.oxygen_demand), (self.burnt.vapour, fuel.vapour),
            )
        )  # fmt: skip

    def encoded(self) -> bytes:
        """As JSON, for a file that people can read."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def decoded(cls, data: bytes) -> Learned:
        """What `encoded` gave.

        Raises:
            DataError: something else.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise DataError(
                f"this is nothing that was learned about a boiler: {error}",
                hint="let it be learned again: gl002 learn",
            ) from None
