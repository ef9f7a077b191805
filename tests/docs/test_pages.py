"""Every fenced block of the documentation runs: a page that cannot run is not finished.

python   executed, the blocks of a page one after the other, with the addresses of our peers
yaml     loaded as a configuration
json     parsed
console  its commands exist and understand their arguments; what they print is not compared
text     drawn for people
sql      understood as BigQuery's, by another's parser
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.blocks import Block, blocks, execute
from docs.peers_of_pages import Peers
from gl002.cli import _parser
from gl002.config.load import load
from gl002.config.yaml import Document
from peers import vendors
from peers.azure_iot import connection_string
from peers.secret_stores import SECRET_ID

ROOT = Path(__file__).parents[2]
LANGUAGES = {"python", "yaml", "json", "console", "text", "sql"}
STRANGERS = {"sudo", "docker", "openssl", "curl", "journalctl", "systemctl", "cd", "git", "export",
             "gcloud", "bq"}  # fmt: skip
"""Commands of others that a page may show."""


def _pages() -> list[Path]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if page.exists() and page.name != "guide.md"]


def _blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=block.name)
        for page in _pages()
        for block in blocks(page, *languages)
    ]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = [block.name for block in blocks(page) if block.language not in LANGUAGES]
    assert unknown == []


@pytest.mark.parametrize(
    "page", [page for page in _pages() if any(blocks(page, "python"))], ids=lambda page: page.name
)
async def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, peers: Peers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        await execute(block, peers, names)


@pytest.mark.parametrize("block", _blocks("yaml"))
def test_a_yaml_block_is_a_configuration(block: Block, tmp_path: Path, peers: Peers) -> None:
    file = tmp_path / "integrations.yaml"
    text = peers(block.text) if "\nsecrets:" in block.text else block.text
    file.write_text(_complete(text))
    for name in re.findall(r"\$\{file:([^}]+)\}", block.text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{SECRET_ID}\n" if "vault" in name else "from-a-file\n")
    variables = re.findall(r"\$\{(?:env:)?([A-Za-z_]\w*)", block.text)
    load(file, {name: _value_of(name) for name in variables})


def _complete(text: str) -> str:
    """A page may show one section, or one connector, of a file."""
    data = Document(text, "page").data
    if "integrations" in data:
        return text
    return f"integrations:\n  enabled: []\n{text}"


def _value_of(variable: str) -> str:
    """Something of the right form for a variable that a page names."""
    if variable.endswith("_URL"):
        return "postgresql://user:pass@localhost/gl002"
    if variable.endswith("_SERVER"):
        return "opc.tcp://localhost:4840"
    if variable.endswith("_CONNECTION"):
        return connection_string()
    return "localhost"


def test_json_blocks_are_json() -> None:
    for page in _pages():
        for block in blocks(page, "json"):
            json.loads(block.text)


def _commands(block: Block) -> Iterator[list[str]]:
    """The command lines of a console block; where some begin with '$', the others are output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    for line in lines:
        if (
            line.strip()
            and not line.lstrip().startswith("#")
            and (line[:2] == "$ " or not prompted)
        ):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_][A-Z0-9_]*=.*", words[0]):
                words.pop(0)
            yield _before_pipe(words)


def _before_pipe(words: list[str]) -> list[str]:
    cut = next((i for i, word in enumerate(words) if word in {"|", ">", ">>", "&&", ";"}), None)
    return words if cut is None else words[:cut]


@pytest.mark.parametrize("block", _blocks("console"))
def test_the_commands_of_a_console_block_exist(block: Block) -> None:
    commands = list(_commands(block))
    assert commands, "a console block shows a command"
    for program, *arguments in commands:
        if program == "gl002":
            name = next((a for a in arguments if not a.startswith("-")), "")
            _parser(name).parse_args(arguments)
        elif program == "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(arguments) <= set(targets)
        elif program == "pip":
            _check_extras(arguments)
        else:
            assert program in STRANGERS, f"'{program}' is no command of ours"


def _check_extras(arguments: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in arguments:
        match = re.fullmatch(r"(?:gl002|\.)\[(.+)\]", wanted)
        if match:
            # As the metadata spells them: pip before 23.3 finds no other spelling, and only warns.
            spelled = {name.replace("_", "-") for name in project["optional-dependencies"]}
            assert set(match[1].split(",")) <= spelled, wanted


@pytest.mark.parametrize("block", _blocks("sql"))
def test_an_sql_block_is_one_statement_of_bigquery(block: Block) -> None:
    assert vendors.run("bigquery_sql.py", block.text) == ["CREATE"]


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in _pages()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
