"""The way of the packets is chosen by what the process may do, and a bad one is named with its remedy."""

from __future__ import annotations

from agent.cameras.genicam.sockets import choose, mtu_towards


def test_a_process_that_may_takes_the_packet_socket() -> None:
    path = choose(may_open_packet_socket=True, rmem_max_bytes=212_992)
    assert (path.kind, path.warning) == ("packet", None)


def test_any_other_takes_udp_and_warns_of_a_small_buffer_by_its_name() -> None:
    path = choose(may_open_packet_socket=False, rmem_max_bytes=212_992)
    assert path.kind == "udp" and path.warning is not None
    assert "net.core.rmem_max is 212992" in path.warning and "4194304" in path.warning
    assert choose(may_open_packet_socket=False, rmem_max_bytes=4_194_304).warning is None


def test_the_way_to_this_machine_is_its_loopback() -> None:
    way = mtu_towards("127.0.0.1")
    assert way is not None and way[0] == "lo" and way[1] >= 1500
    assert mtu_towards("Basler-raL4096-22334455") is None
