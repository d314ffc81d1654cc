"""A Ray cluster of two nodes, each of them processes: `python -m tests.models.rescoring.two_nodes`.

It says its address, loses its second node at the line `lose`, and ends with its standard input.
"""

from __future__ import annotations

import sys

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    second = cluster.add_node(**NODE)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(second, allow_graceful=False)
            print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
