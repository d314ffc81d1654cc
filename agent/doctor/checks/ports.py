"""The ports that the station listens on: the page's, and those of gateways that are asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from agent.doctor.finding import Said, note, ok, skipped, wrong
from agent.doctor.holder import Holder, holder_of
from agent.doctor.machine import Machine
from agent.doctor.site import Site
from agent.outbox.place import lock_of
from agent.page.server import PageError, check_address
from agent.settings.gateways import ModbusGateway, OpcUaGateway

PRIVILEGED = 1024
LISTENS = "0A"  # state of a socket in /proc/net/tcp


def free(site: Site) -> Iterator[Said]:
    settings = site.settings
    wanted = [("page", settings.page.host, settings.page.port)] if settings.page.enabled else []
    wanted += [
        (gateway.name, gateway.host, gateway.port)
        for gateway in settings.gateways
        if isinstance(gateway, OpcUaGateway | ModbusGateway)
    ]
    if not wanted:
        yield skipped("neither page nor gateways listen")
    holder = holder_of(site.machine, lock_of(settings.outbox.path))
    for name, host, port in wanted:
        try:
            check_address(host, 0)  # another port than ours: an agent may start just now
        except PageError as error:
            words, _, remedy = str(error).removeprefix("page: ").partition("; ")
            yield wrong(f"{name}: {words}", remedy if name == "page" else "set its host and port to others")
            continue
        yield _of_port(site.machine, name, port, holder)


def _of_port(machine: Machine, name: str, port: int, holder: Holder | None) -> Said:
    sockets = listening(machine, port) if port else set()
    limit = machine.number("proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not sockets and 0 < port < (PRIVILEGED if limit is None else limit):
        return note(
            f"{name}: port {port} is for root alone, and the service is not root",
            "set another one, such as 8080, or give the service CAP_NET_BIND_SERVICE",
        )
    if not sockets:
        return ok(f"{name}: port {port or 'of its own choice'} is free")
    if holder is not None and holder.is_agent:
        theirs = _sockets_of(machine, holder.pid)
        if theirs is not None and theirs & sockets:
            return ok(f"{name}: port {port} is held by the running agent")
        if theirs is None:
            return note(
                f"{name}: port {port} is held, by the running agent or another program", "run it as root"
            )
    owner = _owner(machine, sockets)
    return wrong(
        f"{name}: port {port} is taken by {owner}",
        f"stop that program, or set another port (`sudo ss -ltnp 'sport = :{port}'` shows who has it)",
    )


def listening(machine: Machine, port: int) -> set[str]:
    """Inodes of the sockets that listen on a port, of whatever address."""
    found = set()
    for place in ("proc/net/tcp", "proc/net/tcp6"):
        for line in (machine.text(place) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                found.add(words[9])
    return found


def _owner(machine: Machine, sockets: set[str]) -> str:
    for process in machine.named("proc/[0-9]*"):
        if (_sockets_of(machine, int(process.name)) or set()) & sockets:
            command = (machine.text(f"proc/{process.name}/cmdline") or "").split("\0")[0]
            return f"process {process.name} ({command})"
    return "a program of another user"


def _sockets_of(machine: Machine, pid: int) -> set[str] | None:
    """None for a process of another user, whose files are not for us to see."""
    found = set()
    links = machine.named(f"proc/{pid}/fd/*")
    for link in links:
        with suppress(OSError):  # closed meanwhile, or another user's
            target = str(link.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found if links else None
