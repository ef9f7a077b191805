"""The SAP rig: our SAP system with its OData services, behind a fault link.

What documents there are is looked up in its tables, not through its interfaces.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from gl002.testing.link import Link
from gl002.testing.rig import Rig
from gl002.transport.sap.forms import reference
from peers.sap_system import SERVICE, SAPSystem

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_BAD_CONFIGS = [
    ({}, "ashost"),
    ({"ashost": ""}, "ashost"),
    ({"ashost": "ftp://sap"}, "http://"),
    ({"ashost": "sap", "pasword": "p"}, "did you mean 'passwd'"),
    ({"ashost": "sap", "user": "u"}, "a user and its passwd"),
    ({"ashost": "sap", "passwd": "p"}, "a user and its passwd"),
    ({"ashost": "sap", "sysnr": "0"}, "two digits"),
    ({"ashost": "sap", "sysnr": "100"}, "two digits"),
    ({"ashost": "sap", "client": "1"}, "three digits"),
    ({"ashost": "sap", "lang": "english"}, "lang"),
    ({"ashost": "http://sap.plant.example", "user": "u", "passwd": "p"}, "in clear"),
    ({"ashost": "https://u:p@sap.plant.example"}, "keys of its own"),
    ({"ashost": "sap", "functions": "rfc"}, "nwrfc"),
    ({"ashost": "sap", "time_zone": "Berlin"}, "there is no 'Berlin'"),
    ({"ashost": "sap", "soap": {"path": "https://other/sap"}}, "path"),
    ({"ashost": "sap", "services": {"products": "../x"}}, "path"),
    ({"ashost": "sap", "idoc": {"sender_port": "GL002"}}, "sender_partner"),
    ({"ashost": "sap", "timeout": 0}, "timeout"),
    ({"ashost": "sap", "tls": {"verify": False}}, "unknown key 'verify'"),
]


class SAPRig(Rig):
    """Measurement documents and notifications over OData."""

    has_account = True
    kind: ClassVar[str] = "sap"

    def __init__(self) -> None:
        self.bad_configs = _BAD_CONFIGS
        self.peer = SAPSystem()
        self.link = Link(self.peer.port)
        self._seconds = itertools.count()

    @property
    def doable(self) -> Mapping[str, Mapping[str, Any]]:
        """With a reading of another second each time: by function SAP has one of each second."""
        moment = _FIRST + timedelta(seconds=next(self._seconds))
        return {
            "create_measurement_document": {
                "point": "BOILER_001_EFF", "value": 85.4, "unit": "PCT",
                "timestamp": moment.isoformat(),
            },
            "create_notification": {
                "type": "M2", "text": "Economizer outlet too hot", "equipment": "10000045",
                "start": moment.isoformat(), "long_text": "Soot: 2.1 % of fuel lost",
            },
            "create_work_order": {
                "type": "PM02", "text": "Blow soot", "functional_location": "BOILERHOUSE-1",
                "planning_plant": "1000", "start": moment.isoformat(), "priority": "2",
            },
        }  # fmt: skip

    def start(self) -> None:
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        here = {**self.peer.config, "ashost": f"http://127.0.0.1:{self.link.port}"}
        return {**here, **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(passwd="wrong-canary-0815")

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def done(self, key: str) -> list[str]:
        documents = self.peer.rows("SELECT MDOCM FROM IMRG WHERE MDTXT = ?", key)
        notes = self.peer.rows(
            "SELECT QMNUM FROM QMEL WHERE REFNUM = ? AND LTXT LIKE ?", reference(key), f"%{key}"
        )
        orders = self.peer.rows("SELECT AUFNR FROM AUFK WHERE KTEXT LIKE ?", f"% {reference(key)}")
        return [number for (number,) in [*documents, *notes, *orders]]

    def undoable(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            "create_measurement_document": {
                **self.doable["create_measurement_document"], "point": "NO_SUCH_POINT",
            },
            "create_notification": {
                **self.doable["create_notification"], "equipment": "999999",
            },
            "create_work_order": {**self.doable["create_work_order"], "type": "XX99"},
        }  # fmt: skip


class SAPByFunctions(SAPRig):
    """The same documents by BAPIs, over a stateful service of SOAMANAGER; OData is not active."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = SAPSystem(odata=False)
        self.link = Link(self.peer.port)

    def config(self, **changes: Any) -> dict[str, Any]:
        return super().config(**{"soap": {"path": SERVICE}, **changes})

    def done(self, key: str) -> list[str]:
        documents = self.peer.rows("SELECT MDOCM FROM IMRG WHERE MDTXT = ?", key)
        notes = self.peer.rows("SELECT QMNUM FROM QMEL WHERE LTXT LIKE ?", f"%: {key}")
        orders = self.peer.rows("SELECT AUFNR FROM AUFK WHERE KTEXT LIKE ?", f"% {reference(key)}")
        return [number for (number,) in [*documents, *notes, *orders]]
