"""Where samples go: the contract between the flow and a connector."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gl002.model import Batch


class Sink(ABC):
    """Delivers batches to one connector. The flow owns queueing, batching and retry.

    Guarantees to the author: one task at a time writes; `prepare` is called before the first
    `write` and again after each failure that is retried; `close` after the last one.

    Attributes:
        name: connector instance it belongs to, 'postgresql'.
    """

    name: str

    async def prepare(self) -> None:
        """Make ready: create tables, check rights. Safe to call again."""

    @abstractmethod
    async def write(self, batch: Batch) -> None:
        """Deliver the whole batch, or raise. The same batch twice must do no harm.

        Raises:
            PartialWrite: names the samples that were refused; all others were delivered.
            GL002Error: nothing counts as delivered; the batch comes again if it is retryable,
                and is taken apart to find the sample at fault if it is not.
        """

    async def close(self) -> None:
        """Free what `write` holds; safe to call twice, never raises."""
