"""A station under a crowd of connections records, answers its probe and ends as if nobody was there."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from tests import plain_http
from tests.brokers import HOST, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import verdicts

FILES = 1024
CROWD = 1100


def test_more_idle_connections_than_descriptors_stop_neither_recording_nor_the_probe(
    agent: AgentProcess, subscriber: Subscriber
) -> None:
    agent.settings["cameras"][0]["source"]["lose_every_blocks"] = 0  # type: ignore[index]
    agent.start()
    agent.limit_files(FILES)
    eventually(lambda: len(verdicts(subscriber)) >= 5, "the first verdicts")
    before = agent.open_files()
    with ExitStack() as stack:
        most = before
        for number in range(CROWD):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)  # those that must wait for a place come in later
            with suppress(BlockingIOError):
                guest.connect((HOST, agent.page_port))
            if number % 100 == 99:
                most = max(most, agent.open_files())
                assert plain_http.get(f"http://{HOST}:{agent.page_port}/healthz", timeout=60)
        there = len(verdicts(subscriber))
        eventually(lambda: len(verdicts(subscriber)) >= there + 5, "verdicts beside the crowd")
        most = max(most, agent.open_files())
        assert most - before < 100
        assert agent.is_running()
        assert agent.stop() == 0, agent.log()
    sequences = list(dict.fromkeys(verdict["sequence"] for verdict in verdicts(subscriber)))
    assert sequences == list(range(1, len(sequences) + 1))
    assert "page_connections_closed" in agent.log()
    assert "thread_failed" not in agent.log()
