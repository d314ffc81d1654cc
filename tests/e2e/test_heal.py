"""What an MES has lost is asked for again, and comes again: agent, broker and consumer are whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, eventually
from tests.deploy.mes.told import Process, rows
from tests.e2e.agent_process import STATION, AgentProcess

LOST = (2, 3)
LOST_ROWS = "FROM verdicts WHERE sequence BETWEEN ? AND ?"
START_S = 150.0  # a loaded machine takes its time to compile the model


@pytest.mark.slow
def test_rows_that_a_consumer_has_lost_come_back_flagged_from_a_running_agent(
    tmp_path: Path, mosquitto: Mosquitto, agent: AgentProcess
) -> None:
    consumer = Process(f"sqlite:///{tmp_path}/mes.sqlite3", mosquitto.port)
    consumer.start()
    with closing(sqlite3.connect(tmp_path / "mes.sqlite3", timeout=60, isolation_level=None)) as stored:
        agent.start()
        eventually(lambda: rows(stored) >= 4, "verdicts are stored", START_S)
        agent.kill()
        before = last_sequence(stored)
        agent.start()
        eventually(lambda: last_sequence(stored) > before, "the next boot is heard", START_S)
        bodies = dict(stored.execute(f"SELECT sequence, body {LOST_ROWS}", LOST))
        stored.execute(f"DELETE {LOST_ROWS}", LOST)
        code, said = consumer.gaps()
        assert code == 1 and f"{LOST[0]} to {LOST[1]} missing (2)" in said
        code, said = consumer.gaps("--heal")
        assert f"{STATION}: asked for {LOST[0]} to {LOST[1]}: 200" in said
        assert '{"replayed": 2,' in said
        eventually(lambda: consumer.gaps()[0] == 0, "the gap is closed")
        again = stored.execute(
            "SELECT sequence, body FROM verdicts WHERE replayed = 1 ORDER BY sequence"
        ).fetchall()
        assert dict(again) == {
            sequence: body.replace('"replayed":false', '"replayed":true') for sequence, body in bodies.items()
        }
    assert consumer.stop() == 0
    assert agent.stop() == 0, agent.log()


def last_sequence(stored: sqlite3.Connection) -> int:
    return int(stored.execute("SELECT COALESCE(MAX(sequence), 0) FROM verdicts").fetchone()[0])
