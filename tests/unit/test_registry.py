"""Which connectors there are, and how little it costs to ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gl002
from gl002.errors import ConfigError
from gl002.registry import connector, entry, face, kinds


def test_kinds_are_in_alphabetical_order() -> None:
    assert list(kinds()) == sorted(kinds())
    assert len(list(kinds())) >= 6


@pytest.mark.parametrize("ask", [entry, connector, face])
def test_an_unknown_kind_is_a_configuration_error_with_the_nearest(ask: object) -> None:
    with pytest.raises(ConfigError, match=r"no connector 'modbuss' \(did you mean 'modbus'\?\)"):
        ask("modbuss")  # type: ignore[operator]


def test_a_kind_whose_service_is_no_more_says_so_where_kinds_are_listed() -> None:
    assert "IoT Core is retired" in entry("gcp").summary


def _loaded(statement: str) -> set[str]:
    """Modules that a statement loads in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_asyncio_nor_a_third_party() -> None:
    loaded = _loaded("import gl002")
    assert not loaded & {"asyncio", "pydantic", "msgspec", "yaml", "gl002.connector"}


def test_importing_a_folder_of_connectors_loads_none_of_them() -> None:
    loaded = _loaded("import gl002.integrations.industrial, gl002.integrations.databases")
    assert not [name for name in loaded if name.startswith("gl002.integrations.industrial.")]
    assert not [name for name in loaded if name.startswith("gl002.integrations.databases.")]


@pytest.mark.parametrize("kind", list(kinds()))
def test_importing_a_connector_does_not_load_its_driver(kind: str) -> None:
    loaded = _loaded(f"from gl002.registry import connector, face; connector('{kind}').Config")
    assert not loaded & {"asyncua", "pymodbus", "paho", "psycopg", "cryptography", "aiohttp"}


def test_a_name_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gatway'"):
        gl002.Gatway  # noqa: B018
    assert set(gl002.__all__) <= {*dir(gl002), *gl002._WHERE}
    assert all(hasattr(gl002, name) for name in gl002.__all__)
