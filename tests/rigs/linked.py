"""What rigs have in common whose counterpart is a process of ours behind a fault link."""

from __future__ import annotations

from typing import Any

from gl002.testing.link import Link
from gl002.testing.rig import Rig


class LinkedRig(Rig):
    """One peer, with what processes of `peers` can do, and the link in front of it.

    Args:
        peer: not started yet; has a `config` that reaches it and logs in.
    """

    has_account = True

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.link = Link(peer.port)

    def start(self) -> None:
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def there(self) -> dict[str, Any]:
        """The key of the settings that names the other side, so that it leads over the link."""
        return {"url": f"http://127.0.0.1:{self.link.port}"}

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.config, **self.there(), **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")
