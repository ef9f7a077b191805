"""The simple controllers that keep the simulated boiler at its setpoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Controller:
    """Proportional and integral action beside a feedforward; the integral stops at the limits.

    Attributes:
        gain: output per unit of error.
        reset: integral time, s.
        low, high: limits of the output.
        integral: what the integral action adds now.
    """

    gain: float
    reset: float
    low: float
    high: float
    integral: float = 0.0

    def __call__(self, error: float, feedforward: float, seconds: float) -> float:
        """The output after `seconds` with this error."""
        output = feedforward + self.gain * error + self.integral
        inside = min(max(output, self.low), self.high)
        if inside == output or (output - inside) * error < 0:
            self.integral += self.gain * error * seconds / self.reset
        return inside


@dataclass(slots=True)
class Ramp:
    """A setpoint that moves to its target at a limited rate.

    Attributes:
        value: now.
        target: where it goes.
        rate: most it moves, per second.
    """

    value: float
    target: float
    rate: float

    def __call__(self, seconds: float) -> float:
        """The setpoint after `seconds`."""
        most = self.rate * seconds
        self.value += min(max(self.target - self.value, -most), most)
        return self.value
