"""A Ray cluster of two nodes, each of them processes: `python -m tests.models.rescoring.two_nodes`.

It says its address, and ends with its standard input. A node that is not up after the 30 s that Ray waits for
it, as on a machine that is busy otherwise, is begun again.
"""

from __future__ import annotations

import sys
from typing import Any

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
TRIES = 8


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for _ in range(2):
        _add(cluster)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


def _add(cluster: Any) -> None:
    for left in reversed(range(TRIES)):
        try:
            cluster.add_node(**NODE)
            return
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise


if __name__ == "__main__":
    main()
