"""The embedded history: one SQLite file of samples, cheap to write and quick to read by tag."""

from gl002.transport.sqlite.file import HistoryFile

__all__ = ["HistoryFile"]
