"""Judged frames on disk, bounded: rejects, a share of the passes, and what people said of them.

`Archive` (archive.py) takes records from any thread without waiting and writes them in its own. An entry is
one PNG with everything in it (entry.py, chunks.py, pixels.py), in its place whole or not at all (files.py).
`Shelf` (shelf.py) lets go of what matters least first (bounds.py); `Index` (index.py) finds entries and can
always be made anew from their files (reconcile.py). To read: `shelf.find(Query(...))`, then `shelf.read(id)`.
"""
