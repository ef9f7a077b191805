"""BROWSE: what is there, with addresses that can be used."""

from __future__ import annotations

from gl002.connector import Capability, first_of
from gl002.model import is_good
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_PLENTY = 10_000


@needs(Capability.BROWSE)
async def test_a_browse_meets_every_readable_address(rig: Rig, make: Maker) -> None:
    found = await first_of(make().browse(rig.browse_from, depth=3), _PLENTY)
    missed = set(rig.readable) - {thing.address for thing in found}
    assert not missed, f"not found: {sorted(missed)} among {len(found)} things"
    assert all(thing.address and thing.name for thing in found)


@needs(Capability.BROWSE, Capability.READ)
async def test_what_a_browse_found_can_be_read(rig: Rig, make: Maker) -> None:
    connector = make()
    found = await first_of(connector.browse(rig.browse_from, depth=3), _PLENTY)
    addresses = [thing.address for thing in found if thing.address in rig.readable]
    samples = await connector.read(addresses)
    assert addresses
    assert all(is_good(sample.quality) for sample in samples), samples


@needs(Capability.BROWSE)
async def test_a_browse_left_early_leaves_the_session_usable(rig: Rig, make: Maker) -> None:
    connector = make()
    first = await first_of(connector.browse(rig.browse_from, depth=3), 1)
    again = await first_of(connector.browse(rig.browse_from, depth=3), 1)
    assert [thing.address for thing in first] == [thing.address for thing in again]
    assert len(first) == 1
