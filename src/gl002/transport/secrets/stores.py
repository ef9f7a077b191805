"""All secrets that a configuration names in stores: fetched when it is read, and again later.

A value that a store no longer gives is used on as it was last: a store that is down stops nothing
that runs. Nothing is kept on disk.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gl002.bridge import portal
from gl002.config.references import filled_in, store_references
from gl002.config.secrets import SecretsSettings
from gl002.config.sections import NetworkSettings
from gl002.config.settings import Settings
from gl002.errors import ConfigError, GL002Error, RequestTimeout
from gl002.security.network import Network
from gl002.security.references import StoreName, StoreReference
from gl002.security.secrets import Living
from gl002.transport.secrets.aws_sm import AWSStore
from gl002.transport.secrets.azure_kv import AzureStore
from gl002.transport.secrets.vault import VaultStore
from gl002.transport.secrets.web import Store, Web, chosen

S = TypeVar("S", bound=Settings)

log = logging.getLogger("gl002.secrets")

_LONGEST = 30.0  # seconds a round may take in all
_AT_ONCE = 8  # secrets of one store


class SecretStores:
    """The stores of one configuration.

    Args:
        settings: where they are.
        network: dials; what the settings and the references name is named to it.
    """

    def __init__(self, settings: SecretsSettings, network: Network) -> None:
        self._settings = settings
        self._network = network
        self._stores: dict[StoreName, Store] = {}
        if settings.vault is not None:
            self._stores["vault"] = VaultStore(settings.vault)
        if settings.aws is not None:
            self._stores["aws-sm"] = AWSStore(settings.aws)
        if settings.azure is not None:
            self._stores["azure-kv"] = AzureStore(settings.azure)
        self._found: dict[StoreReference, str] = {}
        self._missing: dict[StoreReference, GL002Error] = {}
        self._living: weakref.WeakSet[Living] = weakref.WeakSet()  # of settings in use
        self._placed: list[_Placed] = []

    def load(self, references: Iterable[StoreReference]) -> None:
        """Fetch these; blocks, for at most 30 s. What cannot be had is told by `value`."""
        wanted = list(dict.fromkeys(references))
        if wanted:
            portal().run(self._round(wanted))

    def value(self, reference: StoreReference) -> str:
        """A secret that was fetched.

        Raises:
            ConfigError: there is none; names the store, and what to do.
        """
        try:
            return self._found[reference]
        except KeyError:
            error = self._missing.get(reference)
            raise ConfigError(
                f"{reference}: {error.args[0] if error else 'was not fetched'}",
                hint=error.hint if error else "",
            ) from None

    def keep(self, living: Living) -> None:
        """Bring this text up to date after each round, as long as something uses it.

        Where nothing does, it stands in a setting that is no secret: it is said when it changes.
        """
        self._living.add(living)
        self._placed.append(_Placed(living))

    async def run(self) -> None:
        """Ask again and again, as long as a secret of it is in use."""
        while self._found and self._living:
            await asyncio.sleep(self._settings.refresh)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask once; what has changed is used from the next connection on."""
        failed = dict(self._missing)
        await self._round(list(self._found))
        for reference, error in self._missing.items():
            if reference not in failed:
                log.warning("%s: its last value is used on: %s", reference, error)
        for reference in failed.keys() - self._missing.keys():
            log.info("%s: can be read again", reference)
        for living in list(self._living):
            if living.renew():
                log.info("%s: a new value is there, for the next connection", living.what)
        for placed in self._placed:
            if placed.stands_still() and placed.has_changed():
                log.warning(
                    "%s: a new value is there; it is no secret, so 'gl002 reload' takes it up",
                    placed.what,
                )

    # ---- a round ----------------------------------------------------------------------------

    async def _round(self, wanted: list[StoreReference]) -> None:
        by_store: dict[StoreName, list[StoreReference]] = {}
        for reference in wanted:
            by_store.setdefault(reference.store, []).append(reference)
        self._missing = {}
        await asyncio.gather(*(self._ask(name, of_it) for name, of_it in by_store.items()))

    async def _ask(self, name: StoreName, references: list[StoreReference]) -> None:
        """Ask one store; its trouble is that of each of its secrets."""
        try:
            async with asyncio.timeout(_LONGEST):
                await self._ask_store(name, references)
        except TimeoutError:
            late = RequestTimeout(f"the store has not given all its secrets in {_LONGEST:g} s")
            self._missing |= {r: late for r in references if r not in self._missing}
        except GL002Error as error:
            self._missing |= {r: error for r in references if r not in self._missing}

    async def _ask_store(self, name: StoreName, references: list[StoreReference]) -> None:
        store = self._stores.get(name)
        if store is None:
            section = {"vault": "vault", "aws-sm": "aws", "azure-kv": "azure"}[name]
            raise ConfigError(
                "the configuration does not say where this store is",
                hint=f"add a block 'secrets:' with '{section}:'",
            )
        names = [name for name in dict.fromkeys(r.name for r in references)
                 if self._named(store, name, references)]  # fmt: skip
        async with Web(self._network, store.tls, self._settings.timeout) as web:
            await store.log_in(web)
            turn = asyncio.Semaphore(_AT_ONCE)

            async def read(secret: str) -> None:
                async with turn:
                    await self._read(web, store, [r for r in references if r.name == secret])

            await asyncio.gather(*(read(secret) for secret in names))

    def _named(self, store: Store, name: str, references: list[StoreReference]) -> bool:
        """Name the addresses of one secret to the network; False where it can be none."""
        try:
            for endpoint in store.endpoints([name]):
                self._network.name(endpoint)
        except GL002Error as error:
            self._missing |= {r: error for r in references if r.name == name}
            return False
        return True

    async def _read(self, web: Web, store: Store, references: list[StoreReference]) -> None:
        """One secret, for all that name it."""
        try:
            secret = await store.read(web, references[0].name)
        except GL002Error as error:
            self._missing |= dict.fromkeys(references, error)
            return
        for reference in references:
            try:
                self._found[reference] = chosen(store, secret, reference)
            except GL002Error as error:
                self._missing[reference] = error


class _Placed:
    """Where a text was filled in, and what it was then."""

    def __init__(self, living: Living) -> None:
        self.what = living.what
        self._used = weakref.ref(living)
        self._make = living.make
        self._text = living.text

    def stands_still(self) -> bool:
        """Whether no setting follows the text."""
        return self._used() is None

    def has_changed(self) -> bool:
        """Whether it is another one than when this was asked before."""
        try:
            now = self._make()
        except ConfigError:
            return False
        before, self._text = self._text, now
        return now != before


def opened(data: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> SecretStores:
    """The stores that a file names, every secret that it refers to fetched.

    Its sections `secrets` and `network` are read first; what is wrong with them is reported with
    the rest of the file. They themselves can refer to no store.

    Args:
        data: of the file, its references not filled in.
        environ: the environment variables.
        folder: where relative paths of `${file:}` start.
    """
    own = {key: data[key] for key in ("secrets", "network") if key in data}
    first = filled_in(own, environ, folder, [])
    settings = _as_far_as_valid(SecretsSettings, first.get("secrets"))
    network = _as_far_as_valid(NetworkSettings, first.get("network"))
    stores = SecretStores(settings, Network(network.allow))
    stores.load(store_references({k: v for k, v in data.items() if k != "secrets"}))
    return stores


def _as_far_as_valid(model: type[S], block: object) -> S:
    try:
        return model.model_validate(block or {})
    except ValidationError:
        return model()
