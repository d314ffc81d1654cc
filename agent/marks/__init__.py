"""What people and systems say of verdicts: right or wrong, with a label. Durable, published, learned from.

`Marks` (marks.py) takes one, by page and command alike; `MarkFile` (file.py) holds them for good. The
archive keeps the pixels of what is marked, the outbox carries each mark to the broker. To read, beside a
running agent too: `newest(place(outbox_path), Wanted(...))` (read.py); `export` (dataset.py) makes a data
set of them.
"""
