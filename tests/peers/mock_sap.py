"""mock-sap, a model of SAP's OData services by other people (PyPI, MIT): ours is not the only one.

It has API_PRODUCT_SRV with CSRF tokens, ETags and $batch, but no maintenance and no SOAP-RFC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peers.process import Process
from peers.vendors import python

CLIENT, USER, PASSWORD = "100", "RFC_USER", "password"


class MockSAP(Process):
    """The server as a process, with its own demo data."""

    def command(self) -> Sequence[str]:
        return [
            str(python()), "-m", "mocksap", "--port", str(self.port), "--client", CLIENT,
            "--auth", f"{USER}:{PASSWORD}", "--require-if-match",
        ]  # fmt: skip

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        url = f"http://127.0.0.1:{self.port}"
        return {"ashost": url, "client": CLIENT, "user": USER, "passwd": PASSWORD}
