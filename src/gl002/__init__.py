"""GL-002: the integration gateway for boiler houses.

from gl002.integrations.industrial import OPCUAConnector, ModbusConnector
from gl002 import ConnectionPool, retry
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gl002.retry import retry  # at once: the function must win over the module of its name

if TYPE_CHECKING:
    from gl002.flow.gateway import Gateway
    from gl002.model import Batch, Quality, Sample, Tag
    from gl002.pool import ConnectionPool
    from gl002.retry import RetryPolicy

__all__ = [
    "Batch",
    "ConnectionPool",
    "Gateway",
    "Quality",
    "RetryPolicy",
    "Sample",
    "Tag",
    "__version__",
    "retry",
]

__version__ = "0.1.0"

_WHERE = {
    "Batch": "gl002.model",
    "ConnectionPool": "gl002.pool",
    "Gateway": "gl002.flow.gateway",
    "Quality": "gl002.model",
    "RetryPolicy": "gl002.retry",
    "Sample": "gl002.model",
    "Tag": "gl002.model",
}


def __getattr__(name: str) -> object:
    """Public names load on first use, so that `gl002 --help` does not wait for them."""
    if name not in _WHERE:
        raise AttributeError(f"module 'gl002' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
