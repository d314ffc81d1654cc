"""Who tells the station what to be: signed settings and bundles through the broker, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE
from agent.contract.desired import INSTALL_TYPE
from models.signing import sign
from tests.agent.remote.rollouts import desired
from tests.agent.remote.settled import KEYS, document, signed, trust_file
from tests.brokers import Subscriber, eventually
from tests.e2e.agent_process import PROOF_S, STATION
from tests.e2e.bright import write_varied
from tests.e2e.test_remote_settings import ADDRESS, told

UNDER_WAY = ("pending", "downloading", "verifying", "proving", "staged", "probation")
ISSUER = "plant"  # bundles that were installed by hand have another
FOR_EVER = "2099-01-01T00:00:00Z"


class Office:
    """Every document has the next counter of its kind."""

    def __init__(self, folder: Path, port: int) -> None:
        self.trust = folder / "trust.json"
        self.first = folder / "first"
        self._folder = folder
        self._port = port
        self._counters = {"settings": 0, "bundle": 0}
        self._bundles = 1
        self._reports = Subscriber(port, f"{STATION}/config/reported", client_id="office")

    def start(self) -> None:
        self.trust.write_bytes(trust_file())
        self._bundle(self.first, 1)
        self._reports.start()

    def stop(self) -> None:
        self._reports.stop()

    def settle(self, settings: dict[str, Any], *, wanted: str) -> None:
        """Tell it these settings, and wait until its answer is `wanted`."""
        counter = self._next("settings")
        content = document(settings, counter, address=ADDRESS, expires=FOR_EVER)
        told(self._port, f"{STATION}/config/desired", signed(content))
        self._wait("settings", counter, wanted)

    def roll_out(self, *, golden: float = 1.0, wanted: str) -> None:
        """Tell it a new bundle, its golden scores multiplied, and wait until its answer is `wanted`."""
        counter = self._next("bundle")
        self._bundles += 1
        path = self._folder / f"bundle-{self._bundles}"
        self._bundle(path, self._bundles, golden=golden)
        content = desired(path, counter, address=ADDRESS, expires=FOR_EVER)
        told(self._port, f"{STATION}/bundle/desired", signed(content, 2, kind=INSTALL_TYPE))
        self._wait("bundle", counter, wanted)

    def _bundle(self, path: Path, number: int, *, golden: float = 1.0) -> None:
        write_varied(path, counter=number, golden=golden, words=f"bundle {number}")
        (path / SIGNATURE).write_bytes(sign((path / MANIFEST).read_bytes(), BUNDLE_TYPE, KEYS[2]))

    def _next(self, kind: str) -> int:
        self._counters[kind] += 1
        return self._counters[kind]

    def _wait(self, kind: str, counter: int, wanted: str) -> None:
        ended: list[dict[str, Any]] = []

        def has_ended() -> bool:
            answer = self._answer(kind)
            is_of_it = (answer.get("issuer"), answer.get("counter")) == (ISSUER, counter)
            if is_of_it and answer["state"] not in UNDER_WAY:
                ended.append(answer)
            return bool(ended)

        eventually(has_ended, f"{kind} {counter} has its answer", PROOF_S)
        assert ended[0]["state"] == wanted, f"{kind} {counter}: {ended[0]}"

    def _answer(self, kind: str) -> dict[str, Any]:
        found = self._reports.received[-1:]
        return dict(found[0].json()[kind]["attempted"] or {}) if found else {}
