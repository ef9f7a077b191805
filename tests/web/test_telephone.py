"""The table of tags on a narrow screen."""

from __future__ import annotations

import pytest

from web.browser import opened

_RIGHT_EDGES = """
    [...document.querySelectorAll("#values tbody tr")].slice(0, 5).map((row) =>
        [...row.cells].map((cell) =>
            cell.checkVisibility() ? cell.getBoundingClientRect().right : null))
"""
WIDTH = 360
VALUE, AGE, QUALITY = 1, 3, 4


@pytest.mark.slow
async def test_each_tag_shows_value_age_and_quality_without_scrolling_sideways(chromium, house):
    async with opened(chromium, house.url, viewport={"width": WIDTH, "height": 768}) as screen:
        await screen.shows("#values [data-tag]", "good")
        rows = await screen.page.evaluate(_RIGHT_EDGES)
        assert rows
        for edges in rows:
            assert None not in (edges[VALUE], edges[AGE], edges[QUALITY])
            assert max(edge for edge in edges if edge is not None) <= WIDTH
