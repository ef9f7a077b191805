"""What one gateway shares with all its connectors: network, audit, tag table, state folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gl002.model import TagTable
from gl002.proposal import Closed, Proposals
from gl002.security.audit import Audit
from gl002.security.network import Network


@dataclass(slots=True, kw_only=True)
class Context:
    """Handed to every connector of a gateway.

    Attributes:
        network: the one door to the network.
        audit: the append-only record of what was done.
        state_dir: where the gateway keeps what must survive it: certificates, audit, store.
        tags: the tag table.
        name: of the gateway, in messages it sends.
        proposals: takes what messages from outside ask to be written; refuses all in a script.
    """

    network: Network
    audit: Audit
    state_dir: Path
    tags: TagTable = field(default_factory=TagTable)
    name: str = "gl002"
    proposals: Proposals = field(default_factory=Closed)

    @classmethod
    def standalone(cls) -> Self:
        """For a connector in one's own script: it may reach what its own settings name."""
        state_dir = default_state_dir()
        return cls(network=Network(), audit=Audit(state_dir / "audit.jsonl"), state_dir=state_dir)


def default_state_dir() -> Path:
    """`$GL002_STATE_DIR`, else the user's state folder (XDG Base Directory Specification)."""
    explicit = os.environ.get("GL002_STATE_DIR")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "gl002"
