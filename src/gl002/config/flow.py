"""Entries of `data_flow`: what every input and every output has in common."""

from __future__ import annotations

from pydantic import Field

from gl002.config.blocks import DeliveryRetrySettings
from gl002.config.settings import Seconds, Settings


class InputSettings(Settings):
    """One entry of `data_flow.input`. Connectors add the keys that say what to read."""

    source: str = Field(
        description="Connector to read: a kind ('modbus', all its connections) or one connection "
        "('modbus.boiler1')."
    )
    prefix: str = Field(
        "", description="Put before each tag's name: 'boiler1.' gives 'boiler1.o2'."
    )


class OutputSettings(Settings):
    """One entry of `data_flow.output`. Connectors add the keys that say where to write."""

    destination: str = Field(description="Connector to write to: a kind or one connection.")
    name: str = Field(
        "",
        description="Name of the output, also that of its place in the store; the destination "
        "where absent. Give one when two outputs have the same destination.",
    )
    tags: list[str] | None = Field(
        None, description="Only these tags; '*' stands for any characters. All where absent."
    )
    interval: Seconds = Field(
        1.0,
        description="Flush interval in seconds: the longest a value waits for others.",
    )
    batch_size: int = Field(5000, ge=1, le=100_000, description="Most samples delivered at once.")
    retry_policy: DeliveryRetrySettings = Field(
        DeliveryRetrySettings(),
        description="How a failed delivery is tried again; for ever, 0.5 s to 30 s apart.",
    )
