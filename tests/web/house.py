"""A real gateway on a simulated boiler house, for tests of the dashboard and for looking at it.

The plant's signals come in through an intake, as those of a connector do; calculated efficiency,
store and history file are those of the product.

    python tests/web/house.py 8080      # serves until Ctrl-C
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from gl002.config.load import load
from gl002.errors import ConnectFailed, GL002Error
from gl002.flow.gateway import Gateway
from gl002.flow.inputs import Part
from gl002.model import Batch, Sample, Tag, now_ns
from gl002.sim.plant import Plant
from gl002.sink import Sink
from gl002.source import Source
from gl002.web.server import serve

CONFIG = """
integrations: {integrations}
gateway: {{name: {name}, state_dir: state}}
web: {{port: {port}}}
boilers:
  boiler1:
    oxygen: {{tag: boiler1.AT301, basis: wet}}
    stack_temperature: boiler1.TT301
    air_temperature: boiler1.TT302
    carbon_monoxide: boiler1.AT302
    normal_efficiency: {{low: 82.0, high: 85.0}}
    steady: false
    interval: {interval}
    max_age: {max_age}
"""


class PlantSource(Source):
    """A simulated plant as an input, with as many further tags as wanted.

    Attributes:
        plant: the plant; fail and repair its instruments.
        trouble: raised in place of values while set.
        silent: neither values nor an error while set.
        also: samples sent along with the next values.
    """

    def __init__(self, name: str, *, interval: float = 1.0, more_tags: int = 0) -> None:
        self.name = name
        self.plant = Plant(seed=2)
        self.plant.step(60.0)
        self.trouble: GL002Error | None = None
        self.silent = False
        self.also: Batch = []
        self._interval = interval
        self._more = [f"area{i // 50:02}.point{i % 50:02}" for i in range(more_tags)]

    def tags(self) -> Sequence[Tag]:
        known = [
            Tag(
                name=f"boiler1.{tag}", unit=signal.unit, source=self.name, address=tag,
                description=signal.description,
            )
            for tag, signal in self.plant.signals().items()
        ]  # fmt: skip
        return known + [Tag(name=tag, unit="degC", source=self.name) for tag in self._more]

    async def batches(self) -> AsyncIterator[Batch]:
        while True:
            if self.trouble is not None:
                raise self.trouble
            self.plant.step(self._interval)
            if not self.silent:
                yield self._batch()
            await asyncio.sleep(self._interval)

    def _batch(self) -> Batch:
        now = now_ns()
        batch = [
            Sample(f"boiler1.{tag}", signal.value, now, signal.quality)
            for tag, signal in self.plant.signals().items()
        ]
        wave = self.plant.time / 20
        batch += [
            Sample(tag, 60 + 20 * math.sin(wave + i), now) for i, tag in enumerate(self._more)
        ]
        also, self.also = self.also, []
        return batch + also


class FailingSink(Sink):
    """A destination that cannot be reached."""

    name = "timescale.main"

    async def write(self, batch: Batch) -> None:
        raise ConnectFailed("timescale.main: 10.20.0.9:5432: connection refused", hint="is it on?")


class House:
    """A gateway with a plant, running and served while in the block.

    Attributes:
        gateway: the gateway.
        source: its input.
        url: what is printed for a browser, with the token.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        interval: float = 0.05,
        max_age: float = 30.0,
        more_tags: int = 0,
        name: str = "Boiler house 1",
        failing_output: bool = False,
        integrations: str = "{enabled: []}",
        more: str = "",
    ) -> None:
        file = folder / "integrations.yaml"
        text = CONFIG.format(
            port=port, name=name, interval=interval, max_age=max_age, integrations=integrations
        )
        file.write_text(text + more)
        self.gateway = Gateway(load(file, {}))
        self.source = PlantSource("opc_ua.primary", interval=interval, more_tags=more_tags)
        for tag in self.source.tags():
            self.gateway.context.tags.declare(tag)
        self.gateway._parts.insert(0, Part((), self.gateway._intake(self.source.name, self.source)))
        if failing_output:
            settings = self.gateway.config.outputs[0][1]
            self.gateway._outputs.append(
                self.gateway._delivery("timescale.main", FailingSink(), settings)
            )
        self.url = ""
        self.port = port

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    async def start(self) -> None:
        """Return when the API answers."""
        self._running = asyncio.ensure_future(self.gateway.run())
        await self.serve_again()

    async def serve_again(self) -> None:
        answering = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(
            serve(self.gateway, self.gateway.config.sections.web, ready=answering.set_result)
        )
        await asyncio.wait([answering, self._serving], return_when="FIRST_COMPLETED", timeout=60)
        if self._serving.done():
            self._serving.result()
        self.url = await answering

    async def stop_serving(self) -> None:
        self._serving.cancel()
        await asyncio.wait([self._serving], timeout=60)

    async def stop(self) -> None:
        await self.stop_serving()
        self.gateway.stop()
        await asyncio.wait_for(self._running, 60)

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def until(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Return when a condition holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def _look(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with House(Path(folder), port=port, interval=1.0, more_tags=988) as house:
            print(house.url, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_look(int(sys.argv[1])))
