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

    Args:
        path: None for standard output, where the format can do that.
        units: of the tags.
    """

    def __init__(self, path: Path | None, units: Mapping[str, str]) -> None:
        self._path = path
        self._units = units

    @property
    def _part(self) -> Path:
        assert self._path is not None
        return self._path.with_name(f"{self._path.name}.part")

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
            raise ConfigError(f"{self._path}: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._close()
        if self._path is None:
            return
        if kind is None:
            self._part.replace(self._path)
        else:
            with suppress(OSError):
                self._part.unlink()


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
