"""MIT Kerberos of the distribution: a realm of its own, with a service and an account.

The libraries that pyspnego takes for tickets (krb5, gssapi) are built against it, and kept beside
the environment of the tests: they go into processes that need them, by `PYTHONPATH`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from peers.process import Process, program

REALM = "PLANT.TEST"
ACCOUNT = "gl002"
_PACKAGES = ("krb5==0.10.0", "gssapi==1.12.0")
_CACHE = Path(__file__).parents[2] / ".cache" / "peers" / "kerberos"


def libraries() -> Path:
    """Where krb5 and gssapi are; built the first time, which takes minutes."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    have, wanted = _CACHE / "packages.txt", "\n".join(_PACKAGES)
    with (_CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other
        if not have.exists() or have.read_text() != wanted:
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target",
                 _CACHE / "lib", *_PACKAGES],
                check=True, timeout=900, capture_output=True,
            )  # fmt: skip
            have.write_text(wanted)
    return _CACHE / "lib"


class Kerberos(Process):
    """A key distribution centre; `ticket` is what `kinit` does.

    Args:
        service: the principal that has a keytab, 'HTTP/localhost'.
    """

    def __init__(self, service: str = "HTTP/localhost") -> None:
        super().__init__()
        self._service = service
        self._keytab = self.folder / "service.keytab"
        self._account = self.folder / "account.keytab"
        self._cache = self.folder / "tickets"

    def command(self) -> Sequence[str]:
        return [program("krb5kdc", "krb5-kdc"), "-n", "-r", REALM]

    def environment(self) -> Mapping[str, str]:
        """For servers, clients and tools of the realm."""
        paths = [str(libraries()), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            "KRB5_KTNAME": str(self._keytab),
            "KRB5CCNAME": f"FILE:{self._cache}",
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        }

    def start(self) -> None:
        if not self._keytab.exists():
            self._create()
        super().start()

    def ticket(self) -> None:
        """Log the account in, with its keytab."""
        self._run(program("kinit", "krb5-user"), "-k", "-t", str(self._account), ACCOUNT)

    def log_out(self) -> None:
        """Throw the ticket away."""
        self._cache.unlink(missing_ok=True)

    def _create(self) -> None:
        (self.folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n rdns = false\n"
            " dns_canonicalize_hostname = false\n udp_preference_limit = 1\n"
            f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{self.port}\n }}\n"
            f"[domain_realm]\n localhost = {REALM}\n"
        )
        (self.folder / "kdc.conf").write_text(
            f"[realms]\n {REALM} = {{\n"
            f"  database_name = {self.folder}/principal\n"
            f"  key_stash_file = {self.folder}/stash\n"
            f"  kdc_listen = 127.0.0.1:{self.port}\n  kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            " }\n[logging]\n kdc = STDERR\n"
        )
        self._run(program("kdb5_util", "krb5-kdc"), "create", "-s", "-r", REALM, "-P", "canary")
        admin = program("kadmin.local", "krb5-admin-server")
        for principal, keytab in ((self._service, self._keytab), (ACCOUNT, self._account)):
            self._run(admin, "-r", REALM, "addprinc", "-randkey", principal)
            self._run(admin, "-r", REALM, "ktadd", "-k", str(keytab), principal)

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, env=dict(self.environment()), check=True, timeout=30, capture_output=True
        )
