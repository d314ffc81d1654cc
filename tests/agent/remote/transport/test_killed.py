"""A fetch that is killed at any byte goes on where the disk says, and its bundle is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.agent.remote.transport.goods import MORE, same, sizes, write_goods
from tests.agent.remote.transport.web import serving

SIZE = 150_000
EVERY = 15_013


def test_it_goes_on_from_the_byte_at_which_it_was_killed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    target = write_goods(source, SIZE)
    head = sizes(source)["signature"] + sizes(source)["manifest.yaml"]
    edges = [1, 2, 3, head - 1, head, head + 1]
    at = [*edges, *range(EVERY, target.size_bytes, EVERY), target.size_bytes - 1, target.size_bytes]
    folder = tmp_path / "depots"
    folder.mkdir()
    with serving(source) as web:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.agent.remote.transport.killed",
                str(folder),
                web.url,
                target.model_dump_json(),
                *map(str, at),
            ],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert [one["killed"] for one in found] == [True] * len(at)
    for size, one in zip(at, found, strict=True):
        assert sum(one["left"].values()) == size
        assert same(folder / str(size) / ".candidate", source)
    begun = [asked.begins for asked in web.asked if asked.path.endswith(MORE) and asked.begins]
    left = [one["left"].get(MORE, 0) for one in found]
    assert begun == [size for size in left if 0 < size < SIZE]
