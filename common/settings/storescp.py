"""Settings of the Storage SCP."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

from common.dicomnet.address import (
    DicomwebPeer,
    DimsePeer,
    check_bearer_token,
    read_json,
    read_peer,
)
from common.settings.base import (
    SECRET,
    AeTitle,
    CommonSettings,
    IpNetworks,
    is_loopback,
    split_list,
)

MEGABYTE = 1024 * 1024


def _parse_peers(value: Any) -> Any:
    """Parse a comma-separated list of ``TITLE=host:port``."""
    if not isinstance(value, str):
        return value
    peers = {}
    for part in split_list(value):
        title, _, address = part.partition("=")
        host, _, port = address.rpartition(":")
        if not host:
            raise ValueError(f"{part!r} is not of the form TITLE=host:port")
        peers[title.strip()] = (host.strip(), port)
    return peers


SourcePacs = Annotated[DimsePeer | DicomwebPeer, Field(discriminator="kind")]
_SOURCE_PACS: TypeAdapter[SourcePacs] = TypeAdapter(SourcePacs)


def _parse_source_pacs(value: Any) -> SourcePacs | None:
    """Parse a JSON object; the error does not contain its token."""
    return None if value is None else read_peer(_SOURCE_PACS, read_json(value))


class StoreScpSettings(CommonSettings):
    """Settings of the Storage SCP and of STOW-RS."""

    ae_title: AeTitle = Field("OSTEOSCREEN", description="AE title of the Storage SCP")
    host: str = Field(
        "0.0.0.0",  # noqa: S104 - modalities are on other machines
        description="Address that the Storage SCP listens on",
    )
    port: int = Field(11112, ge=1, le=65535, description="Port that the Storage SCP listens on")
    allowed_peers: IpNetworks = Field(
        (), description="Addresses or networks (CIDR) that may send; all when empty"
    )
    allow_any_calling_ae: bool = Field(
        False,
        description="Whether the Storage SCP starts without `ALLOWED_CALLING_AETS` and"
        " `ALLOWED_PEERS`: any machine that reaches its port may then send",
    )
    receivers: int = Field(
        4,
        ge=1,
        le=64,
        description="Processes that receive by DIMSE: two per core are fastest, one uses the"
        " least memory",
    )
    max_associations: int = Field(
        32, ge=1, description="Concurrent associations; more are rejected"
    )
    max_associations_per_peer: int = Field(
        16, ge=1, description="Concurrent associations from one address"
    )
    idle_seconds: float = Field(
        60.0,
        ge=1,
        le=86_400,
        description="Time without a message after which an association is ended, s",
    )
    stall_seconds: float = Field(
        30.0,
        ge=1,
        le=3600,
        description="Time without data within a message after which an association is ended, s",
    )
    min_kb_per_second: float = Field(
        4.0,
        ge=0,
        description="Minimum average transfer rate of a message after `STALL_SECONDS`, KB/s;"
        " below it the association is ended",
    )
    max_instance_mb: int = Field(
        1024, ge=1, description="Largest data set of one instance, MB (status 0xA700 above)"
    )
    tls_client_certificate: bool | None = Field(
        None,
        description="Whether a TLS sender must present a certificate issued by `TLS_CA`;"
        " unset means: if `TLS_CA` is set",
    )
    commitment_peers: Annotated[
        dict[AeTitle, tuple[str, Annotated[int, Field(ge=1, le=65535)]]],
        NoDecode,
        BeforeValidator(_parse_peers),
    ] = Field(
        {},
        description="Addresses that receive reports of Storage Commitment after the association"
        " of the sender has ended: `CT_01=10.1.2.3:104, PACS=pacs.example:11112`",
    )
    quiet_seconds: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Time without a new instance after which a series is complete, s",
    )
    result_per: Literal["study", "series"] = Field(
        "study",
        description="Unit of a result: one report for each study, from its best series, or one"
        " for each series. A change affects new studies only",
    )
    study_quiet_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Time without a new instance after which a study is complete, s; used with"
        " `RESULT_PER=study`. `QUIET_SECONDS` where every series has all instances that the"
        " source PACS counts",
    )
    changed_content: Literal["hold", "accept"] = Field(
        "hold",
        description="Whether other bytes under the SOP Instance UID of an instance that another"
        " sender (AE title or address) has sent are held until an operator decides, or replace"
        " it. A correction by the same sender always replaces it",
    )
    source_pacs: Annotated[SourcePacs | None, NoDecode, BeforeValidator(_parse_source_pacs)] = (
        Field(
            None,
            description="PACS that is queried for the number of instances of a series and for"
            " missing instances: JSON,"
            ' `{"kind": "dimse", "ae_title", "host", "port", "tls"}` or'
            ' `{"kind": "dicomweb", "url", "token"}`; no query when unset',
            repr=False,
            json_schema_extra=SECRET,
        )
    )

    stow_host: str | None = Field(
        None,
        description="Address that STOW-RS listens on; `HOST` when unset",
    )
    stow_token: SecretStr | None = Field(
        None,
        description="Bearer token that clients of STOW-RS must send",
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
        return check_bearer_token(value)

    @field_validator("stow_port")
    @classmethod
    def _check_stow(cls, value: int | None, context: ValidationInfo) -> int | None:
        """Require a token unless only this machine can connect."""
        host, token = context.data.get("stow_host"), context.data.get("stow_token")
        if value is not None and token is None and not is_loopback(host):
            raise ValueError("requires STOW_TOKEN, or a loopback address as STOW_HOST")
        return value

    @field_validator("tls_client_certificate")
    @classmethod
    def _check_tls(cls, value: bool | None, context: ValidationInfo) -> bool | None:
        if value and context.data.get("tls_ca") is None:
            raise ValueError("requires TLS_CA to verify the certificates")
        return value

    @property
    def restricts_senders(self) -> bool:
        """Whether AE titles or addresses are listed."""
        return bool(self.allowed_calling_aets or self.allowed_peers)

    @property
    def must_show_certificate(self) -> bool:
        """Whether a TLS sender needs a certificate."""
        if self.tls_client_certificate is None:
            return self.tls_ca is not None
        return self.tls_client_certificate
