"""The buffer contract, for the durable store with segments of any size."""

from gl002.config.sections import StoreSettings
from gl002.flow.store import Store
from gl002.testing.buffers import *  # noqa: F403 (a suite)

_SMALL = StoreSettings(max_bytes=64 << 20, segment_bytes=1 << 20, commit_interval=0)
_GROUPED = StoreSettings(commit_interval=0.002)

BUFFERS = {
    "as shipped": Store,
    "each batch at once": lambda folder: Store(folder, _SMALL),
    "grouped": lambda folder: Store(folder, _GROUPED),
}
