"""Whether what a camera shows, and what the model makes of it, still is what it was: never a changed verdict.

`statistics` measures a judged frame in a few numbers, `reference` holds what they were on the first good
parts, `compare` says how far the newest frames are from that and what kind of change it is, `episode` when
that is told: all pure. `watcher` is told of records, keeps references on the disk, and has events made.
"""
