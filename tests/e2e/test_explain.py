"""A running station says why it judged a part so, beside its line, and shows the restoration of then."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.page.sessions.gate import OWN_HEADER
from tests import plain_http
from tests.brokers import HOST, Subscriber, eventually
from tests.e2e.agent_process import AgentProcess
from tests.e2e.test_agent import of_kind, verdicts


@pytest.mark.slow
def test_a_reject_is_explained_by_the_page_of_a_running_line(
    sampled: AgentProcess, subscriber: Subscriber, tmp_path: Path
) -> None:
    sampled.settings["archive"] = {"folder": str(tmp_path / "archive"), "min_free_bytes": 0}
    sampled.settings["cameras"][0]["source"]["line_rate_hz"] = 100.0  # type: ignore[index]
    sampled.start()

    def failed() -> list[dict[str, object]]:
        sent = [one.json() for one in of_kind(subscriber, "verdict")]
        return [one for one in sent if one["verdict"] == "fail"]

    eventually(failed, "a reject")
    reject = failed()[0]
    id_ = reject["result_id"]
    url = f"http://{HOST}:{sampled.page_port}/api"
    eventually(lambda: list((tmp_path / "archive").glob(f"*/{id_}.png")), "its entry")
    with plain_http.Client(timeout=240.0, headers={OWN_HEADER: "1"}) as page:
        answer = page.post(f"{url}/acts/explain", json={"result_id": id_})
        while answer.status_code == 202:
            answer = page.get(f"{url}/jobs/{answer.json()['job']}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["result_id"] == id_ and found["good_frames"] == 120
        assert [one["index"] for one in found["places"]] == [
            one["index"]
            for one in reject["defects"]  # type: ignore[attr-defined]
        ]
        assert all(one["sentence"] for one in found["places"])
        restored = page.get(f"{url}/results/{id_}/restored.jpg")
        assert restored.status_code == 200 and restored.content.startswith(b"\xff\xd8\xff")
    before = len(verdicts(subscriber))
    eventually(lambda: len(verdicts(subscriber)) > before, "records after it")
    assert sampled.stop() == 0, sampled.log()
