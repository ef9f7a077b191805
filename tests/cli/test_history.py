"""`gl002 history`: what was stored is printed and exported, whole and in forms others can read."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from pyarrow import parquet

from gl002.cli import main
from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Quality, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network

SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND
RANGE = ("--from", "2025-10-09T08:53:20Z", "--to", "2025-10-09T09:53:20Z")
HALF = ("--from", "2025-10-09T09:00Z", "--to", "2025-10-09T09:30Z", "--points", "3")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose gateway has stored an hour of two tags."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(
        "integrations: {enabled: [sqlite]}\ngateway: {state_dir: state}\n"
    )
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path / "state")
    context.tags.declare(Tag(name="b1.flow", unit="kg/s"))
    with SQLiteConnector({}, context=context) as history:
        history.store([Sample("b1.flow", i * 0.5, START + i * SECOND) for i in range(3600)])
        history.store(
            [
                Sample("b1.mode", "=auto()", START),
                Sample("b1.on", True, START + 1),
                Sample("b1.on", None, START + SECOND, Quality.BAD_NO_COMMUNICATION),
                Sample("b1.count", 2**60 + 1, START),
            ]
        )
    audit.close()
    return tmp_path


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str], folder: Path) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["history", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_tags_are_listed_with_their_units(ran: Run) -> None:
    code, out, _ = ran("tags", "b1.f*", "--json")
    assert code == 0
    assert [(tag["address"], tag["unit"], tag["type"]) for tag in lines(out)] == [
        ("b1.flow", "kg/s", "float")
    ]
    assert "b1.mode" in ran("tags")[1]


def test_a_query_gives_the_samples_of_a_range(ran: Run) -> None:
    code, out, err = ran("query", "b1.flow", *RANGE, "--limit", "2", "--json")
    assert code == 0
    assert lines(out)[1] == {
        "tag": "b1.flow", "value": 0.5, "unit": "kg/s", "time": "2025-10-09T08:53:21Z",
        "quality": 0, "quality_name": "Good",
    }  # fmt: skip
    assert "2 samples, more not shown" in err
    assert "08:53:21Z" in ran("query", "b1.flow", *RANGE, "--limit", "2")[1]


def test_a_query_with_points_gives_lows_and_highs(ran: Run) -> None:
    code, out, _ = ran("query", "b1.flow", *HALF, "--json")
    assert code == 0
    assert [(b["low"], b["high"], b["samples"]) for b in lines(out)] == [
        (200.0, 499.5, 600), (500.0, 799.5, 600), (800.0, 1099.5, 600),
    ]  # fmt: skip
    assert "1,099.5" in ran("query", "b1.flow", *HALF)[1]


def test_what_is_not_there_is_1_and_said(ran: Run) -> None:
    assert ran("query", "nothing.*")[0] == 1
    assert "no tag there is called nothing.*" in ran("query", "nothing.*")[2]
    code, out, err = ran("query", "b1.flow", "--from", "1h")
    assert (code, out.strip()[:3]) == (1, "tag")
    assert "0 samples" in err


@pytest.mark.parametrize("arguments", [["--from", "yesterday"], ["--from", "5 parsecs"]])
def test_a_time_that_is_none_names_the_forms_there_are(ran: Run, arguments: list[str]) -> None:
    code, _, err = ran("query", *arguments)
    assert code == 64
    assert "2026-11-26T08:30" in err


def test_an_empty_range_is_said(ran: Run) -> None:
    code, _, err = ran("query", "--from", "1h", "--to", "2h")
    assert code == 78
    assert "is empty" in err


def test_everything_goes_to_csv_and_no_cell_is_a_formula(ran: Run, folder: Path) -> None:
    code, out, err = ran("export", "-o", "all.csv")
    assert (code, out) == (0, "")
    assert "3,604 samples of 4 tags" in err
    rows = list(csv.DictReader((folder / "all.csv").read_text().splitlines()))
    assert len(rows) == 3604
    by_tag = {row["tag"]: row for row in rows}
    assert by_tag["b1.mode"]["value"] == "'=auto()"
    assert by_tag["b1.on"] | {} == {
        "time": "2025-10-09T08:53:21Z", "tag": "b1.on", "value": "", "unit": "",
        "quality": str(int(Quality.BAD_NO_COMMUNICATION)), "quality_name": "BadNoCommunication",
    }  # fmt: skip
    assert by_tag["b1.count"]["value"] == str(2**60 + 1)
    assert next(r["time"] for r in rows if r["value"] == "1") == "2025-10-09T08:53:20.000000001Z"


def test_csv_goes_to_standard_output_where_no_file_is_named(ran: Run) -> None:
    code, out, _ = ran("export", "b1.flow", *RANGE)
    assert code == 0
    assert len(list(csv.reader(io.StringIO(out)))) == 3601


def test_parquet_keeps_types_units_and_nanoseconds(ran: Run, folder: Path) -> None:
    assert ran("export", "-o", "all.parquet")[0] == 0
    table = parquet.read_table(folder / "all.parquet")
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    moments = table.column("time").cast("int64").to_pylist()
    rows = table.drop_columns("time").to_pylist()
    assert len(rows) == 3604
    of = {row["tag"]: (moment, row) for moment, row in zip(moments, rows, strict=True)}
    assert of["b1.flow"][0] == START + 3599 * SECOND
    assert (of["b1.flow"][1]["value"], of["b1.flow"][1]["unit"]) == (1799.5, "kg/s")
    assert (of["b1.mode"][1]["text"], of["b1.mode"][1]["value"]) == ("=auto()", None)
    assert of["b1.on"][1]["quality"] == int(Quality.BAD_NO_COMMUNICATION)
    assert START + 1 in moments


def test_parquet_without_a_file_or_without_pyarrow_says_what_to_do(
    ran: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = ran("export", "--format", "parquet")
    assert code == 78
    assert "-o FILE.parquet" in err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = ran("export", "-o", "x.parquet")
    assert code == 1
    assert 'pip install "gl002[parquet]"' in err


def test_an_export_that_fails_leaves_no_file(
    ran: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(folder / "state" / "history.sqlite")) as db:
        db.execute("UPDATE sample SET time = 'soon' WHERE tag_id = 4")
        db.execute("UPDATE recent SET text = 'x', value = 'y' WHERE tag_id = 4")
        db.commit()
    assert ran("export", "-o", "broken.csv")[0] == 69
    assert not list(folder.glob("broken*"))


def test_what_is_no_file_is_written_to_and_stays_what_it_is(ran: Run, folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_text)
        assert ran("export", "b1.flow", "-o", "pipe")[0] == 0
        assert len(read.result().splitlines()) == 3601
    assert pipe.is_fifo()


def test_a_link_to_a_file_stays_a_link(ran: Run, folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "week.csv").symlink_to("shared/week.csv")
    assert ran("export", "b1.flow", "-o", "week.csv")[0] == 0
    assert (folder / "week.csv").is_symlink()
    assert len((folder / "shared" / "week.csv").read_text().splitlines()) == 3601
    assert [path.name for path in (folder / "shared").iterdir()] == ["week.csv"]


def test_a_folder_in_the_place_of_the_file_is_said_before_anything_is_read(ran: Run) -> None:
    code, _, err = ran("export", "-o", "state")
    assert code == 78
    assert "state: Is a directory" in err


def test_a_time_before_there_were_computers_is_refused(ran: Run) -> None:
    code, _, err = ran("query", "b1.flow", "--from", "99999999 days")
    assert code == 64
    assert "before 1970" in err


def test_a_url_names_another_history(ran: Run, folder: Path) -> None:
    url = f"sqlite://{folder}/state/history.sqlite"
    assert ran("query", "b1.flow", *RANGE, "--source", url, "--limit", "1", "--json")[0] == 0
    code, _, err = ran("query", "--source", f"sqlite://{folder}/typo.sqlite")
    assert code == 69
    assert "is it there" in err
    assert not (folder / "typo.sqlite").exists()


def test_what_keeps_no_history_is_said(ran: Run) -> None:
    code, _, err = ran("query", "--source", "modbus://127.0.0.1/1")
    assert code == 78
    assert "there is no history" in err


def test_a_relative_time_is_ago(ran: Run, folder: Path) -> None:
    audit = Audit(folder / "a.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder / "state")
    with SQLiteConnector({}, context=context) as history:
        history.store([Sample("young", 1.0, now_ns() - 60 * SECOND)])
    audit.close()
    assert ran("query", "young", "--from", "2m", "--json")[0] == 0
    assert ran("query", "young", "--from=-30s", "--json")[0] == 1


def test_pyarrow_is_imported_only_for_parquet(ran: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert ran("export", "-o", "x.csv")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "b1.flow", "--limit", "0"], "--limit: at least 1"),
        (["query", "b1.flow", "--limit", "-5"], "--limit: at least 1"),
        (["query", "b1.flow", "-o", "x.csv"], "'gl002 history export' writes files"),
        (["tags", "--format", "csv"], "'gl002 history export' writes files"),
        (["tags", "--points", "3"], "--points belongs to 'query'"),
        (["export", "b1.flow", "--points", "3"], "--points belongs to 'query'"),
        (["export", "b1.flow", "--json"], "--json belongs to 'query' and 'tags'"),
        (["export", "b1.flow", "-o", "week.xlsx"], "week.xlsx: files are csv, parquet"),
    ],
)
def test_what_a_command_does_not_do_is_said_and_not_passed_over(
    ran: Run, folder: Path, arguments: list[str], said: str
) -> None:
    code, out, err = ran(*arguments)
    assert (code, out) == (78, "")
    assert said in err
    assert not list(folder.glob("week*")) + list(folder.glob("x.*"))


def test_any_name_goes_for_a_file_whose_format_is_given(ran: Run, folder: Path) -> None:
    assert ran("export", "b1.flow", "--format", "csv", "-o", "week.txt")[0] == 0
    assert ran("export", "b1.flow", "-o", "week")[0] == 0
    assert len((folder / "week.txt").read_text().splitlines()) == 3601
    assert (folder / "week").read_text() == (folder / "week.txt").read_text()


def test_a_name_that_is_not_there_is_said_though_others_are(ran: Run) -> None:
    code, out, err = ran("query", "b1.flow", "b1.flwo", *RANGE, "--json", "--limit", "5")
    assert (code, len(lines(out))) == (1, 5)
    assert "no tag there is called b1.flwo" in err
