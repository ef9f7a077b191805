"""Which connectors there are: one line each. A connector is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from gl002.config.problems import near
from gl002.connector import Connector
from gl002.errors import ConfigError

AnyConnector: TypeAlias = type[Connector[Any]]


class Entry(NamedTuple):
    """One kind of connector.

    Attributes:
        module: below `gl002.integrations`.
        twin: name of the async class.
        face: name of the blocking class.
        driver: package that the extra of the same name as the kind installs; '' for none.
        summary: for people, one phrase.
        schemes: of the URLs that mean this kind on the command line.
    """

    module: str
    twin: str
    face: str
    driver: str
    summary: str
    schemes: tuple[str, ...]


_KINDS = {
    "aws": Entry(
        "cloud.aws", "AWSIoTConnector", "SyncAWSIoTConnector", "paho",
        "AWS IoT Core: publish, subscribe, device shadows",
        ("aws",),
    ),
    "azure": Entry(
        "cloud.azure", "AzureIoTConnector", "SyncAzureIoTConnector", "paho",
        "Azure IoT Hub: telemetry, device twin, direct methods, messages",
        ("azure",),
    ),
    "bacnet": Entry(
        "industrial.bacnet", "BACnetConnector", "SyncBACnetConnector", "bacpypes3",
        "BACnet/IP devices: discover, read, subscribe, write, trend logs",
        ("bacnet",),
    ),
    "gcp": Entry(
        "cloud.gcp", "GCPIoTConnector", "SyncGCPIoTConnector", "aiohttp",
        "Google Cloud Pub/Sub: publish, pull; on to BigQuery (IoT Core is retired)",
        ("gcp",),
    ),
    "ignition": Entry(
        "historians.ignition", "AsyncIgnitionConnector", "IgnitionConnector", "asyncua",
        "Ignition: live tags over its OPC UA server, tag history from its database",
        ("ignition",),
    ),
    "influxdb": Entry(
        "databases.influxdb", "AsyncInfluxDBConnector", "InfluxDBConnector", "aiohttp",
        "InfluxDB 2, 1 and 3: points and samples, queries in Flux and InfluxQL",
        ("influxdb", "influxdbs"),
    ),
    "modbus": Entry(
        "industrial.modbus", "AsyncModbusConnector", "ModbusConnector", "pymodbus",
        "Modbus over TCP, TLS and serial lines: coils, discrete inputs, registers",
        (
            "modbus", "modbus+tls", "modbus+rtu", "modbus+rtu-over-tcp", "modbus+ascii",
            "modbus+ascii-over-tcp",
        ),
    ),
    "mqtt": Entry(
        "industrial.mqtt", "MQTTConnector", "SyncMQTTConnector", "paho",
        "MQTT brokers: publish and subscribe",
        ("mqtt", "mqtts"),
    ),
    "opc_ua": Entry(
        "industrial.opc_ua", "OPCUAConnector", "SyncOPCUAConnector", "asyncua",
        "OPC UA servers: subscribe, read, write, browse",
        ("opc.tcp",),
    ),
    "oracle": Entry(
        "enterprise.oracle", "AsyncOracleConnector", "OracleConnector", "oracledb",
        "Oracle E-Business Suite and Fusion: work orders, meter readings",
        ("oracle",),
    ),
    "pi_system": Entry(
        "historians.pi_system", "AsyncPIConnector", "PIConnector", "aiohttp",
        "OSIsoft PI over PI Web API: points, AF attributes, history, event frames",
        ("pi",),
    ),
    "postgresql": Entry(
        "databases.postgresql", "AsyncPostgreSQLConnector", "PostgreSQLConnector", "psycopg",
        "PostgreSQL: rows upserted on tag and time",
        ("postgresql", "postgres"),
    ),
    "sap": Entry(
        "enterprise.sap", "AsyncSAPConnector", "SAPConnector", "aiohttp",
        "SAP ERP and S/4HANA: functions, materials, measurement documents, work orders",
        ("sap",),
    ),
    "sqlite": Entry(
        "databases.sqlite", "AsyncSQLiteConnector", "SQLiteConnector", "",
        "the embedded history, one file on this machine",
        ("sqlite",),
    ),
    "timescale": Entry(
        "databases.timescale", "AsyncTimescaleConnector", "TimescaleConnector", "psycopg",
        "TimescaleDB: hypertables and continuous aggregates",
        ("timescale",),
    ),
    "wonderware": Entry(
        "historians.wonderware", "AsyncWonderwareConnector", "WonderwareConnector", "pytds",
        "AVEVA (Wonderware) Historian over its SQL Server: history, live values, manual tags",
        ("wonderware",),
    ),
    "workday": Entry(
        "enterprise.workday", "AsyncWorkdayConnector", "WorkdayConnector", "aiohttp",
        "Workday: workers, cost centres, reports; journals posted once",
        ("workday",),
    ),
}  # fmt: skip
assert list(_KINDS) == sorted(_KINDS)


def kinds() -> Iterator[str]:
    """Every kind, in alphabetical order."""
    return iter(_KINDS)


def entry(kind: str) -> Entry:
    """What is known about a kind without importing it.

    Raises:
        ConfigError: no such kind; the hint names the nearest.
    """
    try:
        return _KINDS[kind]
    except KeyError:
        raise ConfigError(f"there is no connector '{kind}'", hint=hint_for(kind)) from None


def hint_for(kind: str) -> str:
    """What to do about a kind that does not exist: the nearest one."""
    return near(kind, _KINDS)


def kind_of(url: str) -> str:
    """The kind that a URL means.

    Raises:
        ConfigError: no kind has this scheme.
    """
    scheme = url.partition(":")[0].lower()
    for kind, known in _KINDS.items():
        if scheme in known.schemes:
            return kind
    schemes = [s for known in _KINDS.values() for s in known.schemes]
    raise ConfigError(f"no connector takes '{scheme}:' addresses", hint=near(scheme, schemes))


def connector(kind: str) -> AnyConnector:
    """The async class of a kind. Its driver is not imported yet.

    Raises:
        ConfigError: no such kind.
    """
    return _load(kind, entry(kind).twin)  # type: ignore[no-any-return]


def face(kind: str) -> Any:
    """The class of the other colour than the gateway's: the blocking face of a kind."""
    return _load(kind, entry(kind).face)


def _load(kind: str, name: str) -> Any:
    return getattr(import_module(f"gl002.integrations.{entry(kind).module}"), name)
