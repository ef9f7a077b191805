"""What stands behind the addresses that the documentation prints: one table."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from peers.aws_iot import AWSIoT
from peers.azure_iot import AzureIoT, connection_string
from peers.certificates import make
from peers.google_pubsub import PubSub
from peers.ignition_history import IgnitionHistory
from peers.influxdb2 import InfluxDB2
from peers.libmodbus import LibModbus
from peers.mosquitto import Mosquitto
from peers.node_opcua import NodeOpcua
from peers.oracle_ebs import OracleEBS
from peers.pi.times import ticks
from peers.pi_web_api import PiWebApi
from peers.rusty_bacnet import RustyBacnet
from peers.sap_system import SAPSystem
from peers.secret_stores import Moto, Vault
from peers.timescale import Timescale
from peers.wonderware import STRING, Wonderware
from peers.workday_tenant import PASSWORD, Workday


class Peers:
    """The peers, each started when a page first names its address."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gl002-docs-"))
        self._running = ExitStack()

    def stop(self) -> None:
        self._running.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def opc_ua(self) -> NodeOpcua:
        """Trusted in the state folder of the test that asks."""
        trusted = Path(os.environ["GL002_STATE_DIR"]) / "pki" / "trusted"
        trusted.mkdir(parents=True, exist_ok=True)
        (trusted / "peer.der").write_bytes(self._opc_ua.certificate.der)
        return self._opc_ua

    @cached_property
    def _opc_ua(self) -> NodeOpcua:
        made = NodeOpcua(ANONYMOUS=0, ALARM=1, HISTORY="Boiler1.SteamFlow")
        peer = self._running.enter_context(made)
        peer.set("Boiler1.PressureIn", 160)  # an alarm to be acknowledged
        return peer

    @cached_property
    def modbus(self) -> LibModbus:
        return self._running.enter_context(LibModbus())

    @cached_property
    def bacnet(self) -> RustyBacnet:
        return self._running.enter_context(RustyBacnet())

    @cached_property
    def mqtt(self) -> Mosquitto:
        return self._running.enter_context(Mosquitto(tls=True))

    @cached_property
    def timescale(self) -> Timescale:
        return self._running.enter_context(Timescale())

    @cached_property
    def influxdb(self) -> InfluxDB2:
        return self._running.enter_context(InfluxDB2())

    @cached_property
    def aws(self) -> AWSIoT:
        return self._running.enter_context(AWSIoT())

    @cached_property
    def azure(self) -> AzureIoT:
        return self._running.enter_context(AzureIoT())

    @cached_property
    def gcp(self) -> PubSub:
        peer = self._running.enter_context(PubSub())
        for topic in ("samples", "wishes"):
            peer.create(topic, topic)
        return peer

    @cached_property
    def vault(self) -> Vault:
        peer = self._running.enter_context(Vault())
        peer.put("plant/db", password="of-the-docs")
        return peer

    @cached_property
    def secrets_manager(self) -> Moto:
        peer = self._running.enter_context(Moto())
        peer.put("plant/influx", '{"token": "of-the-docs"}')
        return peer

    @cached_property
    def _client_of_aws(self) -> tuple[Path, Path]:
        return self.aws.certificate()

    @property
    def _hub(self) -> str:
        """What the pages print of the hub, with its key, its port and its authority."""
        text = connection_string(GatewayHostName="localhost")
        return f"{text}',\n    'ca_path': '{self.azure.ca}',\n    'port': {self.azure.front.port}"

    @cached_property
    def workday(self) -> Workday:
        return self._running.enter_context(Workday())

    @cached_property
    def oracle(self) -> OracleEBS:
        return self._running.enter_context(OracleEBS())

    @cached_property
    def pi(self) -> PiWebApi:
        """Points of the guide; the flow has been 50,000 since before 2025."""
        peer = self._running.enter_context(PiWebApi())
        for name, value in {
            "EFFICIENCY": 85.4, "STEAM_FLOW": 50000.0, "SETPOINT": 480.0, "TEMP": 182.25,
            "PRESSURE": 12.5, "FLOW": 50000.0,
        }.items():  # fmt: skip
            peer.create(f"BA:BOILER1.{name}", unit="degF" if name == "TEMP" else "")
            peer.set(f"BA:BOILER1.{name}", value)
        peer.put("BA:BOILER1.STEAM_FLOW", (ticks("2024-12-30T00:00:00Z"), 50000.0))
        return peer

    @cached_property
    def sap(self) -> SAPSystem:
        return self._running.enter_context(SAPSystem())

    @cached_property
    def ignition(self) -> NodeOpcua:
        """Tags as an Ignition gateway exposes them."""
        return self._running.enter_context(NodeOpcua(IGNITION=1))

    @cached_property
    def ignition_history(self) -> IgnitionHistory:
        """The database of its history, with a tag and nothing recorded of it."""
        peer = self._running.enter_context(IgnitionHistory())
        peer.tag("boiler1/steamflow", peer.group(peer.driver()))
        return peer

    @cached_property
    def wonderware(self) -> Wonderware:
        """Tags of the guide, since before 2025."""
        peer = self._running.enter_context(Wonderware())
        for name, value in {"SteamFlow": 50000.0, "Pressure": 12.5}.items():
            peer.create(f"Boiler1.{name}", acquisition=1)
            peer.put(f"Boiler1.{name}", (1_730_000_000_000_000, value))
        peer.create("Plant.Remark", STRING)
        return peer

    @cached_property
    def _client_of_opc_ua(self) -> tuple[Path, Path]:
        return make("urn:test:client", name="client").save(self._folder, "client")

    @cached_property
    def _client_of_mqtt(self) -> tuple[Path, Path]:
        return self.mqtt.client_certificate()

    def __call__(self, text: str) -> str:
        """The text of a block with the addresses and credentials of the peers."""
        for printed, meant in self._table.items():
            if re.search(printed, text):
                text = re.sub(printed, lambda _, meant=meant: str(meant(self)), text)
        return text

    # The one table. Left: what the pages print. Right: what is there in its stead.
    _table = {  # noqa: RUF012 (constant)
        r"xxxxx(-ats)?\.iot\.us-west-2\.amazonaws\.com": (
            lambda self: f"localhost:{self.aws.broker.mutual_port}"
        ),
        r"/certs/device\.pem\.crt": lambda self: self._client_of_aws[0],
        r"/certs/private\.pem\.key": lambda self: self._client_of_aws[1],
        r"/certs/AmazonRootCA1\.pem": lambda self: self.aws.broker.ca,
        r"(?s)HostName=hub\.azure-devices\.net;DeviceId=gl002;SharedAccessKey=\.\.\.',"
        r"\n    'protocol': 'mqtt',\n    'port': 8883": lambda self: self._hub,
        r"/etc/gl002/plant-1\.json": lambda self: (
            f"{self.gcp.key_file()}',\n    'url': '{self.gcp.url}"
        ),
        r"https://vault\.plant\.example:8200": lambda self: self.vault.url,
        r"region: eu-central-1": lambda self: (
            f"region: eu-central-1, url: '{self.secrets_manager.url}'"
        ),
        r"192\.168\.1\.100:4840": lambda self: f"localhost:{self.opc_ua.port}",
        r"/path/to/cert\.pem": lambda self: self._client_of_opc_ua[0],
        r"/path/to/key\.pem": lambda self: self._client_of_opc_ua[1],
        r"192\.168\.1\.50\b": lambda _: "127.0.0.1",
        r"\b502\b": lambda self: self.modbus.port,
        r"pi-server\.local": lambda self: self.pi.url,
        r"https://wd2-impl-services1\.workday\.com": lambda self: self.workday.url,
        r"(?<='username': 'ISU_GL002',\n    'password': ')secure_password": lambda _: PASSWORD,
        r"oracle\.company\.com": lambda _: "127.0.0.1",
        r"\b1521\b": lambda self: self.oracle.port,
        r"sap\.company\.com": lambda self: self.sap.url,
        r"gateway\.local:62541": lambda self: f"localhost:{self.ignition.port}",
        r"postgresql://gl002:secure_password@db\.local/ignition": (
            lambda self: self.ignition_history.url
        ),
        r"historian\.local": lambda self: self.wonderware.config["server"],
        r"192\.168\.1\.60\b": lambda self: f"127.0.0.1:{self.bacnet.udp}",
        r"mqtt\.broker\.com": lambda _: "localhost",
        r"\b8883\b": lambda self: self.mqtt.mutual_port,
        r"\b1883\b": lambda self: self.mqtt.port,
        r"/certs/ca\.pem": lambda self: self.mqtt.ca,
        r"/certs/client\.pem": lambda self: self._client_of_mqtt[0],
        r"/certs/client\.key": lambda self: self._client_of_mqtt[1],
        r"localhost:8086": lambda self: f"127.0.0.1:{self.influxdb.web.port}",
        r"your-token": lambda self: self.influxdb.token,
        r"\b5432\b": lambda self: self.timescale.port,
        r"'database': 'gl002'": lambda self: f"'database': '{self.timescale.database}'",
        r"'user': 'gl002user'": lambda self: f"'user': '{self.timescale.user}'",
    }
