"""EDE files as suppliers write them."""

from __future__ import annotations

import pytest

from gl002.wire.bacnet import ObjectId
from gl002.wire.bacnet_ede import decode, parse

HEAD = (
    "# keyname{0}device obj.-instance{0}object-name{0}object-type{0}object-instance{0}description"
    "{0}commandable{0}supports COV{0}unit-code"
)


@pytest.mark.parametrize("divider", [";", ",", "\t"])
def test_fields_may_be_divided_by_semicolons_commas_or_tabs(divider: str) -> None:
    row = ["k", "1001", "flow", "0", "3", "Dampf", "N", "Y", "46"]
    text = "#Engineering-Data-Exchange\n" + HEAD.format(divider) + "\n" + divider.join(row)
    (point,) = parse(text)
    assert point.object == ObjectId(0, 3)
    assert (point.device, point.name, point.description) == (1001, "flow", "Dampf")
    assert (point.unit, point.commandable, point.cov) == ("lb/hr", False, True)


def test_devices_comments_and_empty_lines_are_no_points() -> None:
    text = f"{HEAD.format(';')}\n\n# a comment;;;\nd;1;dev;8;1;;;;\n;1;;2;7;;Y;;\n"
    (point,) = parse(text)
    assert (point.object, point.name, point.commandable) == (ObjectId(2, 7), "", True)
    assert (point.unit, point.cov) == ("", None)


def test_a_wrong_line_is_named() -> None:
    with pytest.raises(ValueError, match="line 3 of the EDE file"):
        parse(f"x\n{HEAD.format(';')}\nk;1001;flow;zero;3;;;;")


def test_a_table_without_the_headings_is_refused() -> None:
    with pytest.raises(ValueError, match="no EDE file"):
        parse("a;b;c\n1;2;3")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_usual_encoding_is_read(encoding: str) -> None:
    assert decode("Öl".encode(encoding)) == "Öl"
