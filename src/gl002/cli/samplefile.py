"""Files of samples for other programs: CSV and Parquet, written row group by row group."""

from __future__ import annotations

import csv
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gl002.cli.moments import iso
from gl002.cli.output import harmless
from gl002.errors import ConfigError, require
from gl002.model import Batch, quality_name
from gl002.wire.narrow import EXACT_IN_DOUBLE, columns

COLUMNS = ("time", "tag", "value", "unit", "quality", "quality_name")
_ROW_GROUP = 100_000  # rows of Parquet written at once


class SampleFile(ABC):
    """A file that is there whole or not at all: it has its name only when the block is left well.

    What is no file, such as /dev/stdout or a named pipe, is written to as it is.

    Args:
        path: None for standard output, where the format can do that.
        units: of the tags.
    """

    def __init__(self, path: Path | None, units: Mapping[str, str]) -> None:
        self._path = path
        self._units = units
        self._part = Path() if path is None else _beside(path)

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Add samples."""

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            raise ConfigError(f"{self._path or 'standard output'}: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        whole = kind is None
        try:
            self._close()
        except OSError:  # no room for the rest
            whole = False
            raise
        finally:
            self._settle(whole=whole)

    def _settle(self, *, whole: bool) -> None:
        if self._path is None or self._part == self._path:
            return
        if whole:
            self._part.replace(self._path.resolve())
        else:
            with suppress(OSError):
                self._part.unlink()


def _beside(path: Path) -> Path:
    """Where to write until all is there: beside what `path` names, or there where it is no file."""
    if path.exists() and not path.is_file():
        return path
    real = path.resolve()
    return real.with_name(f"{real.name}.part")


class CsvFile(SampleFile):
    """For spreadsheets; text that one would run as a formula is made harmless."""

    def _open(self) -> None:
        self._file = (
            sys.stdout if self._path is None else self._part.open("w", encoding="utf-8", newline="")
        )
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, batch: Batch) -> None:
        """Add samples; true and false as 1 and 0."""
        for s in batch:
            value = int(s.value) if isinstance(s.value, bool) else s.value
            self._writer.writerow(
                (iso(s.time), harmless(s.tag), harmless(value), self._units.get(s.tag, ""),
                 s.quality, quality_name(s.quality))
            )  # fmt: skip

    def _close(self) -> None:
        if self._path is not None:
            self._file.close()


class ParquetFile(SampleFile):
    """For pandas, DuckDB, Spark: numbers in `value`, text in `text`, nanoseconds UTC in `time`.

    Raises:
        MissingDependency: pyarrow is not installed.
        ConfigError: no file was named.
    """

    def __init__(self, path: Path | None, units: Mapping[str, str]) -> None:
        super().__init__(path, units)
        if path is None:
            raise ConfigError("a Parquet file cannot go to standard output", hint="-o FILE.parquet")
        require("pyarrow", extra="parquet")

    def _open(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        word = pa.dictionary(pa.int32(), pa.string())
        self._schema = pa.schema(
            [
                ("time", pa.timestamp("ns", tz="UTC")),
                ("tag", word),
                ("value", pa.float64()),
                ("text", pa.string()),
                ("unit", word),
                ("quality", pa.uint32()),
            ]
        )
        self._rows: list[tuple[Any, ...]] = []
        self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")

    def write(self, batch: Batch) -> None:
        """Add samples; true and false as 1 and 0."""
        for s in batch:
            number, text, quality = columns(s, exact=EXACT_IN_DOUBLE)
            unit = self._units.get(s.tag, "")
            value = None if number is None else float(number)
            self._rows.append((s.time, s.tag, value, text, unit, quality))
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [
            pa.array(column, type=field.type)
            for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._rows = []
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def _close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()


FORMATS: Mapping[str, type[SampleFile]] = {"csv": CsvFile, "parquet": ParquetFile}
