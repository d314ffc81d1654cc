"""Settings of the gateways: one section for each kind, told apart by `kind`.

The servers (opcua, modbus) listen on this machine only unless told otherwise. Modbus TCP has neither
login nor encryption: whoever reaches its port reads it. OPC UA has them with a certificate. Nobody can
write through any of them, but for parts and orders where `binding` lets them.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agent.settings.section import Host, Identifier, Section

MAX_GATEWAYS = 8

WEB_ADDRESS = r"^https?://[A-Za-z0-9._:\[\]-]+([/?][!$-~]*)?$"
SPARKPLUG_NAME = r"^[^+/#\s]{1,64}$"
Name = Annotated[str, Field(pattern=SPARKPLUG_NAME)]


class WebhookGateway(Section):
    """Every record as an HTTP request."""

    kind: Literal["webhook"] = "webhook"
    name: Identifier = "webhook"
    url: str = Field(pattern=WEB_ADDRESS)
    timeout_s: float = Field(10.0, ge=0.1, le=120)
    secret_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _nothing_is_left_unused(self) -> WebhookGateway:
        try:
            host, _ = urlsplit(self.url).hostname or "", urlsplit(self.url).port
        except ValueError as error:
            raise ValueError("url is no address; write https://HOST:PORT, and a path behind it") from error
        if self.url.startswith("http://") and not _is_loopback(host):
            raise ValueError(
                f"url: plain http goes to this machine only, not to {host}; write https://, or have a proxy"
                " on this machine encrypt"
            )
        if self.ca_file is not None and not self.url.startswith("https://"):
            raise ValueError("ca_file is used with https only; change url or remove ca_file")
        return self


class FolderGateway(Section):
    """Every record in files, one set for each day."""

    kind: Literal["folder"] = "folder"
    name: Identifier = "folder"
    path: Path
    keep_days: int = Field(0, ge=0, le=3650)


class OpcUaGateway(Section):
    """An OPC UA server with the latest result of each camera."""

    kind: Literal["opcua"] = "opcua"
    name: Identifier = "opcua"
    host: Host = "127.0.0.1"
    port: int = Field(4840, ge=1, le=65_535)
    certificate_file: Path | None = None
    key_file: Path | None = None
    trusted_folder: Path | None = None
    anonymous: bool = False
    binding: Literal["next_trigger", "until_changed"] | None = None
    writers_folder: Path | None = None

    @model_validator(mode="after")
    def _only_who_is_known_reads_from_afar(self) -> OpcUaGateway:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; set both or remove both")
        if self.trusted_folder is not None and self.certificate_file is None:
            raise ValueError("trusted_folder needs certificate_file and key_file; set them or remove it")
        if self.trusted_folder is not None and self.anonymous:
            raise ValueError("anonymous lets everybody in; set it to false or remove trusted_folder")
        if self.trusted_folder is None and not self.anonymous and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host}: whoever reaches it could read; set trusted_folder, or anonymous to true"
            )
        if self.writers_folder is not None and (self.certificate_file is None or self.binding is None):
            raise ValueError("writers_folder needs binding, certificate_file and key_file; or remove it")
        if self.binding is not None and self.writers_folder is None and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host}: who is let in could bind parts; set writers_folder, or binding to null"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


class ModbusGateway(Section):
    """A Modbus TCP server with the latest result of each camera."""

    kind: Literal["modbus"] = "modbus"
    name: Identifier = "modbus"
    host: Host = "127.0.0.1"
    port: int = Field(5020, ge=1, le=65_535)
    binding: bool = False


class SparkplugGateway(Section):
    """The latest result of each camera as a Sparkplug B edge node."""

    kind: Literal["sparkplug"] = "sparkplug"
    name: Identifier = "sparkplug"
    host: Host = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65_535)
    group: Name = "plumbline"
    primary_host: Name | None = None
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _nothing_is_left_unused(self) -> SparkplugGateway:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is used with TLS only; set tls to true or remove ca_file")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username beside it; set username or remove it")
        return self


Gateway = Annotated[
    WebhookGateway | FolderGateway | OpcUaGateway | ModbusGateway | SparkplugGateway,
    Field(discriminator="kind"),
]
