"""The load of an ordinary plant: 1,000 OPC UA tags at 1 Hz, stored, with a dashboard open."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

from throughput import _cpu, _rss

from peers.node_opcua import NodeOpcua
from peers.process import free_port

TAGS, SECONDS = 1000, 30.0
BROWSER = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    with NodeOpcua(MANY=TAGS, PERIOD=1000) as server, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "integrations.yaml"
        file.write_text(yaml.safe_dump(_config(server.url, folder)))
        command = [sys.executable, "-m", "gl002", "run", str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as gateway:
            assert gateway.stderr is not None
            url = next(line.split()[-1] for line in gateway.stderr if "dashboard" in line)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=BROWSER)
                page = browser.new_page()
                page.goto(url)
                time.sleep(10)
                cpu, start = _cpu(gateway.pid), time.monotonic()
                time.sleep(SECONDS)
                share = (_cpu(gateway.pid) - cpu) / (time.monotonic() - start)
                print(
                    f"{TAGS} tags at 1 Hz, dashboard open: gateway {share:.1%} of a core, "
                    f"{_rss(gateway.pid):.0f} MiB"
                )
                browser.close()
            gateway.terminate()
            gateway.wait(30)


def _config(url: str, folder: str) -> dict[str, object]:
    nodes = {f"t{i}": {"node_id": f"ns=2;s=Many.T{i}"} for i in range(TAGS)}
    return {
        "integrations": {
            "enabled": ["opc_ua", "sqlite"],
            "opc_ua": {"url": url, "security": "None", "data_mapping": nodes},
            "data_flow": {"input": [{"source": "opc_ua"}]},
        },
        "gateway": {"state_dir": folder},
        "web": {"port": free_port()},
    }


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
