"""What the Storage SCP can be told."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

from db.settings import SECRET, AeTitle, CommonSettings, split_list
from peers.address import DicomwebPeer, DimsePeer, read_json, read_peer

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
MEGABYTE = 1024 * 1024


def _network(value: Any) -> Any:
    """``10.1.2.3`` or ``10.1.0.0/16``; host bits after the prefix are tolerated."""
    return ipaddress.ip_network(value, strict=False) if isinstance(value, str) else value


def _peers(value: Any) -> Any:
    """``TITLE=host:port``, comma-separated."""
    if not isinstance(value, str):
        return value
    peers = {}
    for part in split_list(value):
        title, _, address = part.partition("=")
        host, _, port = address.rpartition(":")
        if not host:
            raise ValueError(f"TITLE=host:port is wanted, not {part!r}")
        peers[title.strip()] = (host.strip(), port)
    return peers


SourcePacs = Annotated[DimsePeer | DicomwebPeer, Field(discriminator="kind")]
_SOURCE_PACS: TypeAdapter[SourcePacs] = TypeAdapter(SourcePacs)


def _source_pacs(value: Any) -> SourcePacs | None:
    """One JSON object; what is wrong with it is said without its token."""
    return None if value is None else read_peer(_SOURCE_PACS, read_json(value))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class StoreScpSettings(CommonSettings):
    """The Storage SCP."""

    ae_title: AeTitle = Field("OSTEOSCREEN", description="AE title of the Storage SCP")
    host: str = Field(
        "0.0.0.0",  # noqa: S104 - modalities are on other machines
        description="Address that the Storage SCP listens on",
    )
    port: int = Field(11112, ge=1, le=65535, description="Port that it listens on")
    allowed_peers: Annotated[
        tuple[Annotated[IpNetwork, BeforeValidator(_network)], ...],
        NoDecode,
        BeforeValidator(split_list),
    ] = Field(
        (),
        description="Addresses or networks (CIDR) that may send; everybody when empty",
    )
    receivers: int = Field(
        4,
        ge=1,
        le=64,
        description="Processes that receive by DIMSE: two a core are fastest, one takes the"
        " least memory",
    )
    max_associations: int = Field(
        32, ge=1, description="Associations open at the same time; more are rejected"
    )
    max_associations_per_peer: int = Field(
        16, ge=1, description="Associations open at the same time from one address"
    )
    idle_seconds: float = Field(
        60.0, ge=1, le=86_400, description="Pause between messages that ends an association, s"
    )
    stall_seconds: float = Field(
        30.0, ge=1, le=3600, description="Silence within a message that ends an association, s"
    )
    min_kb_per_second: float = Field(
        4.0,
        ge=0,
        description="A message that is slower on average, KB/s, after `STALL_SECONDS`,"
        " ends its association",
    )
    max_instance_mb: int = Field(
        1024, ge=1, description="Largest data set of one instance, MB (status 0xA700 above)"
    )
    min_free_mb: int = Field(
        1024, ge=0, description="Free disk space to keep, MB (status 0xA700 below)"
    )
    tls_client_certificate: bool | None = Field(
        None,
        description="Whether a sender by TLS must show a certificate that `TLS_CA` confirms;"
        " when unset: if `TLS_CA` is set",
    )
    commitment_peers: Annotated[
        dict[AeTitle, tuple[str, Annotated[int, Field(ge=1, le=65535)]]],
        NoDecode,
        BeforeValidator(_peers),
    ] = Field(
        {},
        description="Where senders take reports of Storage Commitment once their association"
        " has ended: `CT_01=10.1.2.3:104, PACS=pacs.example:11112`",
    )
    quiet_seconds: float = Field(
        10.0, gt=0, le=3600, description="Silence after which a series counts as complete, s"
    )
    source_pacs: Annotated[SourcePacs | None, NoDecode, BeforeValidator(_source_pacs)] = Field(
        None,
        description="PACS that is asked how many instances a series has, and for those that are"
        ' missing: JSON, `{"kind": "dimse", "ae_title", "host", "port", "tls"}` or'
        ' `{"kind": "dicomweb", "url", "token"}`; nobody when unset',
        repr=False,
        json_schema_extra=SECRET,
    )

    stow_host: str | None = Field(
        None,
        description="Address that STOW-RS listens on; that of the Storage SCP when unset",
    )
    stow_token: SecretStr | None = Field(
        None,
        description="Bearer token that a client of STOW-RS must show",
        json_schema_extra=SECRET,
    )
    stow_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of STOW-RS (`POST /studies`, `/studies/{uid}`), off when unset; needs"
        " `STOW_TOKEN`, or a loopback address as `STOW_HOST`",
    )
    stow_max_request_mb: int = Field(
        4096, ge=1, description="Largest request by STOW-RS, MB (status 413 above)"
    )

    @field_validator("stow_token")
    @classmethod
    def _check_stow_token(cls, value: SecretStr | None) -> SecretStr | None:
        """What no HTTP header can carry (RFC 6750 2.1) would lock everybody out."""
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("visible ASCII characters are wanted")
        return value

    @field_validator("stow_port")
    @classmethod
    def _check_stow(cls, value: int | None, context: ValidationInfo) -> int | None:
        """Nobody may be let in by omission."""
        host, token = context.data.get("stow_host"), context.data.get("stow_token")
        if value is not None and token is None and not _is_loopback(host):
            raise ValueError("this needs STOW_TOKEN, or a loopback address as STOW_HOST")
        return value

    @field_validator("tls_client_certificate")
    @classmethod
    def _check_tls(cls, value: bool | None, context: ValidationInfo) -> bool | None:
        if value and context.data.get("tls_ca") is None:
            raise ValueError("this needs TLS_CA, to check the certificates against")
        return value

    @property
    def must_show_certificate(self) -> bool:
        """Whether a sender by TLS needs a certificate."""
        if self.tls_client_certificate is None:
            return self.tls_ca is not None
        return self.tls_client_certificate
