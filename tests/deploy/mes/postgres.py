"""A PostgreSQL server of our own, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.brokers import HOST, eventually, free_port


def programs() -> Path | None:
    """The folder of initdb and postgres."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    return next((place for place in places if (place / "initdb").exists()), None)


class Postgres:
    """A server on a free port, without passwords. It refuses to run as root, so then it runs as nobody."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"postgresql://plumbline@{HOST}:{self.port}/postgres"
        self._folder = Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))  # pytest's own are root's alone
        self._data = self._folder / "data"
        self._as = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
        if self._as:
            shutil.chown(self._folder, "nobody")

    def start(self) -> None:
        place = programs()
        assert place is not None
        subprocess.run(
            [*self._as, place / "initdb", "-D", self._data, "-U", "plumbline", "-A", "trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        words = ["-D", self._data, "-p", str(self.port), "-c", f"listen_addresses={HOST}", "-k", self._data]
        with (self._folder / "postgres.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._as, place / "postgres", *words], stdout=log, stderr=log, cwd="/"
            )
        ready = [place / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        eventually(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL answers")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        shutil.rmtree(self._folder)
