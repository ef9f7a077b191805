"""Writing to the historian: manual tags, versions, and trouble that refuses no sample."""

from __future__ import annotations

import pytest

from gl002.context import Context
from gl002.errors import DataError, GL002Error, PartialWrite, RequestFailed, TagNotFound
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.model import Sample, now_ns
from gl002.testing.link import Link
from gl002.transport.wonderware.settings import WonderwareOutput
from integrations.wonderware_site import FLOW, at, context, history, peer, ww
from peers.wonderware import READER, Wonderware

fixtures = peer, context, ww


async def test_a_tag_of_an_instrument_is_never_written(
    ww: AsyncWonderwareConnector, peer: Wonderware
) -> None:
    before = peer.newest(FLOW)
    with pytest.raises(DataError, match="acquired by the historian"):
        await ww.write(FLOW, 1.0)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    with pytest.raises(PartialWrite, match="1 samples") as caught:
        await sink.write([Sample(FLOW, 1.0, now_ns()), Sample("Manual.Level", 2.0, at(1))])
    assert "AcquisitionType 2" in caught.value.rejected[0]
    assert peer.newest(FLOW) == before
    (stored,) = await history(ww, ["Manual.Level"], at(1), at(2))
    assert stored.value == 2.0


async def test_what_a_manual_tag_cannot_hold_is_refused(ww: AsyncWonderwareConnector) -> None:
    with pytest.raises(DataError, match="no number"):
        await ww.write("Manual.Level", "high")
    with pytest.raises(TagNotFound):
        await ww.write("Manual.Absent", 1.0)
    with pytest.raises(DataError, match="8152"):
        await ww.write("Manual.Remark", "more than sixteen characters")
    await ww.write("Manual.Remark", "läuft ✓")
    (sample,) = await ww.read(["Manual.Remark"])
    assert sample.value == "läuft ✓"


async def test_a_value_put_right_is_the_latest_version_and_the_original_is_kept(
    ww: AsyncWonderwareConnector,
) -> None:
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    await sink.write([Sample("Manual.Level", 1.0, at(100))])
    await sink.write([Sample("Manual.Level", 1.5, at(100))])
    asked = (["Manual.Level"], at(99), at(101))
    assert [s.value for s in await history(ww, *asked)] == [1.5]
    assert [s.value for s in await history(ww, *asked, version="Original")] == [1.0]


async def test_a_sample_of_the_future_is_named_and_the_others_stored(
    ww: AsyncWonderwareConnector,
) -> None:
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    batch = [Sample("Manual.Level", float(n), at(200 + n)) for n in range(9)]
    batch.insert(4, Sample("Manual.Level", 0.0, now_ns() + 3600 * 10**9))
    with pytest.raises(PartialWrite) as caught:
        await sink.write(batch)
    assert set(caught.value.rejected) == {4}
    assert "future" in caught.value.rejected[4]
    assert len(await history(ww, ["Manual.Level"], at(200), at(300))) == 9


async def test_a_session_that_breaks_while_tags_are_looked_for_makes_no_known_tag_a_missing_one(
    peer: Wonderware, context: Context
) -> None:
    for tag in ("Broken.Known", "Broken.New"):
        peer.create(tag)
    with Link(peer.port) as link:
        here = {**peer.config, "server": f"127.0.0.1:{link.port}"}
        ww = AsyncWonderwareConnector(here, context=context)
        sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
        await sink.write([Sample("Broken.Known", 1.0, at(300))])
        link.cut()
        link.restore()
        await sink.write([Sample("Broken.Known", 2.0, at(301)), Sample("Broken.New", 3.0, at(301))])
        found = await history(ww, ["Broken.Known", "Broken.New"], at(300), at(302))
        assert sorted(s.value for s in found) == [1.0, 2.0, 3.0]
        await ww.close()


TROUBLES = [
    (7303, 'Cannot initialize the data source object of OLE DB provider "INSQL".', 16, True),
    (7302, 'Cannot create an instance of OLE DB provider "INSQL".', 16, True),
    (701, "There is insufficient system memory in resource pool 'default'.", 17, True),
    (9002, "The transaction log for database 'Runtime' is full.", 17, True),
    (6005, "SHUTDOWN is in progress.", 14, True),
    (596, "Cannot continue the execution because the session is in the kill state.", 21, True),
    (208, "Invalid object name 'INSQL.Runtime.dbo.History'.", 16, False),
    (7202, "Could not find server 'INSQL' in sys.servers.", 11, False),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: str(trouble[0]))
async def test_trouble_of_the_server_refuses_no_sample(
    peer: Wonderware, context: Context, trouble: tuple[int, str, int, bool]
) -> None:
    """What is not about the values keeps the whole batch in the store: nothing is a dead letter."""
    number, text, severity, comes_again = trouble
    ww = AsyncWonderwareConnector(peer.config, context=context)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    batch = [Sample("Manual.Level", float(n), at(400 + number * 10 + n)) for n in range(3)]
    await ww.read([FLOW])
    peer.fail(number, text, severity)
    try:
        with pytest.raises(GL002Error, match=str(number)) as caught:
            await sink.write(batch)
    finally:
        peer.works()
    assert not isinstance(caught.value, PartialWrite)
    assert caught.value.retryable == comes_again
    await sink.write(batch)
    since = at(400 + number * 10)
    assert len(await history(ww, ["Manual.Level"], since, since + 10**10)) == 3
    await ww.close()


async def test_a_right_that_is_missing_refuses_no_sample(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "username": READER}, context=context)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    with pytest.raises(RequestFailed, match=r"229.*GRANT") as caught:
        await sink.write([Sample("Manual.Level", 1.0, at(390))])
    assert not isinstance(caught.value, PartialWrite)
    await ww.close()


async def test_a_login_that_may_only_read_is_told_what_it_lacks(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "username": READER}, context=context)
    assert (await ww.read([FLOW]))[0].value == 10.0
    with pytest.raises(RequestFailed, match=r"229.*GRANT"):
        await ww.write("Manual.Level", 1.0)
    await ww.close()
