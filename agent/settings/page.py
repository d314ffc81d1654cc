"""The page: where it listens, and who may say who asks."""

from __future__ import annotations

import re
from ipaddress import ip_network

from pydantic import Field, field_validator, model_validator

from agent.settings.section import Host, Section, item


class PageProxy(Section):
    """Who may say who asks: proxies with a login of their own."""

    addresses: tuple[str, ...] = Field((), max_length=16)
    user_header: str = Field("X-Remote-User", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    role_header: str = Field("X-Remote-Role", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")

    @field_validator("addresses")
    @classmethod
    def _are_networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for number, one in enumerate(addresses):
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(
                    f"{item(number, one)} is no address or range; write 127.0.0.1 or 10.1.2.0/28"
                ) from None
            if ip_network(one).prefixlen == 0:
                raise ValueError(
                    f"{item(number, one)} is everybody, who then could say to be an engineer; write the"
                    " proxy's own address"
                )
        return addresses

    @model_validator(mode="after")
    def _headers_differ(self) -> PageProxy:
        if self.user_header.lower() == self.role_header.lower():
            raise ValueError(f"user_header and role_header are both {self.user_header}; name two headers")
        return self


class Page(Section):
    enabled: bool = True
    host: Host = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    allowed_hosts: tuple[str, ...] = Field((), max_length=16)
    anonymous: bool = False
    proxy: PageProxy = PageProxy()
    gives_way_s: float = Field(300.0, ge=0, le=86_400)
    shift_starts: tuple[str, ...] = Field(("06:00", "14:00", "22:00"), max_length=12)

    @field_validator("shift_starts")
    @classmethod
    def _starts_are_times(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        for number, start in enumerate(starts):
            if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", start):
                raise ValueError(f"{item(number, start)} is no time of day; write it as 06:00")
        return starts

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_bare_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]", name):
                raise ValueError(
                    f"{item(number, name)} is no bare host name; write what stands between"
                    " http:// and the port or path,"
                    " such as cell3.plant.example, or [fd00::7] for an IPv6 address"
                )
        return names
