"""What a user configures about an OPC UA server, in all the forms of the guide."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gl002.config.blocks import RetrySettings
from gl002.config.flow import InputSettings
from gl002.config.settings import Milliseconds, Settings
from gl002.retry import RetryPolicy
from gl002.security.secrets import Secret
from gl002.wire.opc_ua import parse_node

Mode: TypeAlias = Literal["None", "Sign", "SignAndEncrypt"]
PolicyName: TypeAlias = Literal[
    "None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"
]
_BY_LETTERS = {
    name.replace("_", "").lower(): name
    for name in ("None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
}
_BROKEN = {"basic256", "basic128rsa15"}


def _policy(value: object) -> object:
    """The policy whatever its underscores; those withdrawn for their weakness are refused."""
    letters = value.replace("_", "").lower() if isinstance(value, str) else ""
    if letters in _BROKEN:
        raise ValueError(
            f"{value} was withdrawn because it can be broken; use Basic256Sha256 or newer"
        )
    return _BY_LETTERS.get(letters, value)


Policy: TypeAlias = Annotated[PolicyName, BeforeValidator(_policy)]


class ServerSettings(Settings):
    """Where the server is and how long to wait for it."""

    url: str = Field(description="'opc.tcp://host:4840', with a path where the server has one.")
    timeout: Milliseconds = Field(10_000, description="Longest wait for an answer, ms.")
    retry_count: int = Field(2, ge=0, description="Further tries of a request that failed.")
    retry_delay: float = Field(500, ge=0, description="Wait before each further try, ms.")

    @field_validator("url")
    @classmethod
    def _is_opc_tcp(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "opc.tcp" or not parts.hostname:
            raise ValueError("expected a URL such as opc.tcp://192.168.1.100:4840")
        if parts.username is not None:
            raise ValueError("give user name and password by their own keys, not in the URL")
        return url


class SecuritySettings(Settings):
    """How messages are protected, and by whose certificates. Nothing here turns a check off."""

    mode: Mode | None = Field(
        None,
        description="None, Sign or SignAndEncrypt; SignAndEncrypt where only a policy is given.",
    )
    policy: Policy | None = Field(
        None,
        description="None, Basic256Sha256, Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss; "
        "Basic256Sha256 where only a mode is given. The server must offer exactly this.",
    )
    certificate: str | None = Field(
        None,
        description="Our certificate, PEM or DER. Made in the state folder where absent.",
    )
    private_key: str | None = Field(
        None, description="Its private key, PEM or DER, not world-readable."
    )
    private_key_password: Secret | None = Field(None, description="Password of the private key.")
    trust_store: str | None = Field(
        None,
        description="Folder with further certificates to trust, beside those that "
        "'gl002 pki trust' has trusted.",
    )
    server_name: str | None = Field(
        None,
        description="Host to expect in the server's certificate; that of the URL where absent.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SecuritySettings:
        given = {self.mode, self.policy} - {None}
        if "None" in given and len(given) > 1:
            raise ValueError(f"mode {self.mode} and policy {self.policy} contradict each other")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key come as a pair: give both or neither")
        return self

    @property
    def secure(self) -> bool:
        """Whether messages are signed at least."""
        return (self.mode or self.policy or "None") != "None"

    @property
    def chosen_mode(self) -> Mode:
        """The mode in effect."""
        return (self.mode or "SignAndEncrypt") if self.secure else "None"

    @property
    def chosen_policy(self) -> PolicyName:
        """The policy in effect."""
        return (self.policy or "Basic256Sha256") if self.secure else "None"


class SubscriptionSettings(Settings):
    """How the server sends changed values (OPC 10000-4, 5.13 and 5.14)."""

    publishing_interval: Milliseconds = Field(1000, description="Time between two messages, ms.")
    lifetime_count: int = Field(
        10_000, ge=3, description="Publishing intervals without us after which the server gives up."
    )
    keepalive_count: int = Field(
        10, ge=1, description="Publishing intervals without news after which the server says so."
    )
    max_notifications: int = Field(0, ge=0, description="Most values in one message; 0: any.")
    priority: int = Field(0, ge=0, le=255, description="Against our other subscriptions there.")
    sampling_interval: float | None = Field(
        None,
        ge=0,
        description="Time between two looks of the server at a value, ms; 0: as fast as it can. "
        "The publishing interval where absent.",
    )
    queue_size: int = Field(
        100, ge=1, le=100_000, description="Values of one node the server keeps between messages."
    )

    @model_validator(mode="after")
    def _lives_long_enough(self) -> SubscriptionSettings:
        if self.lifetime_count < 3 * self.keepalive_count:
            raise ValueError("lifetime_count must be at least three times keepalive_count")
        return self


class MappingSettings(Settings):
    """A node under a name of ours, in a unit of ours."""

    scalar_form: ClassVar = ("string",)

    node_id: str = Field(description="'ns=2;s=FT101.PV', 'nsu=urn:of:server;s=FT101.PV', 'i=2258'.")
    scaling: float = Field(1.0, description="Multiplied first.")
    offset: float = Field(0.0, description="Added after scaling.")
    unit: str = Field("", description="Unit after that; what the server says where absent.")
    deadband: float | None = Field(
        None,
        gt=0,
        description="Smallest change the server reports, in the unit of the tag. Needs a number.",
    )
    deadband_percent: float | None = Field(
        None,
        gt=0,
        le=100,
        description="The same in percent of the node's range; only where the server names one.",
    )
    type: str = Field(
        "",
        description="Data type that the node must have, 'Double'; a node of another type is "
        "refused. Where absent, the type it has when it is first watched.",
    )
    description: str = Field("", description="A plain phrase.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"node_id": data} if isinstance(data, str) else data

    @field_validator("node_id")
    @classmethod
    def _is_node(cls, text: str) -> str:
        parse_node(text)
        return text

    @field_validator("scaling")
    @classmethod
    def _can_be_undone(cls, scaling: float) -> float:
        if scaling == 0:
            raise ValueError("0 would make every value the same")
        return scaling

    @model_validator(mode="after")
    def _one_deadband(self) -> MappingSettings:
        if self.deadband is not None and self.deadband_percent is not None:
            raise ValueError("deadband and deadband_percent say the same thing: keep one")
        return self


class OpcUaConfig(Settings):
    """One OPC UA server."""

    shorthand: ClassVar = {
        "url": "server.url",
        "server_url": "server.url",
        "timeout": "server.timeout",
        "security": "security.mode",
        "security_mode": "security.mode",
        "security_policy": "security.policy",
        "certificate_path": "security.certificate",
        "private_key_path": "security.private_key",
        "trust_store": "security.trust_store",
    }

    server: ServerSettings = Field(description="Where it is.")
    username: str | None = Field(None, description="User to log in as; nobody where absent.")
    password: Secret | None = Field(None, description="The user's password.")
    user_certificate: str | None = Field(
        None, description="Certificate to log in with instead of a name, PEM or DER."
    )
    user_private_key: str | None = Field(None, description="Its private key.")
    security: SecuritySettings = Field(SecuritySettings(), description="How it is protected.")
    subscription: SubscriptionSettings = Field(
        SubscriptionSettings(), description="How values stream."
    )
    data_mapping: dict[str, MappingSettings] = Field(
        default={}, description="Names for nodes: what the gateway calls them."
    )
    retry_policy: RetrySettings | None = Field(
        None, description="Instead of server.retry_count and retry_delay."
    )

    @model_validator(mode="after")
    def _one_user(self) -> OpcUaConfig:
        if (self.user_certificate is None) != (self.user_private_key is None):
            raise ValueError("user_certificate and user_private_key come as a pair")
        if self.username is not None and self.user_certificate is not None:
            raise ValueError("log in by user name or by certificate: keep one")
        if self.password is not None and self.username is None:
            raise ValueError("a password without a username")
        if self.retry_policy is not None and self.server.model_fields_set & {
            "retry_count",
            "retry_delay",
        }:
            raise ValueError("retry_policy and server.retry_* say the same thing: keep one")
        return self

    def request_timeout(self) -> float:
        """Seconds, from `server.timeout`."""
        return self.server.timeout / 1000

    def retry(self) -> RetryPolicy:
        """From `retry_policy`, else from `server.retry_count` and `retry_delay`."""
        if self.retry_policy is not None:
            return self.retry_policy.policy()
        return RetryPolicy(
            max_attempts=self.server.retry_count + 1,
            backoff="constant",
            first=self.server.retry_delay / 1000,
            jitter=0.0,
        )


class OpcUaInput(InputSettings):
    """What to subscribe to."""

    tags: list[str] | None = Field(
        None,
        description="Names of data_mapping, node ids, or browse names; all of data_mapping where "
        "absent.",
    )
    events: list[str] | None = Field(
        None,
        min_length=1,
        description="Instead of tags: objects whose alarms and events to take, as node ids; "
        "'server' for those of the whole server.",
    )

    @field_validator("events")
    @classmethod
    def _are_nodes(cls, events: list[str] | None) -> list[str] | None:
        for text in events or ():
            if text != "server":
                parse_node(text)
        return events

    @model_validator(mode="after")
    def _values_or_events(self) -> OpcUaInput:
        if self.tags is not None and self.events is not None:
            raise ValueError("an input takes tags or events: write two inputs")
        return self
