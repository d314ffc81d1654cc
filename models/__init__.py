"""Plumbline, the workshop: train a published method, distil it, export what ships.

data.py      good parts and test parts on disk      product.py  what is true of one product
batches.py   tiles as the device cuts them -> training batches
methods/     one file per method;  parts/  what they share
plans.py     budgets and rates      fit.py      the one training loop
train.py     method -> teacher      distill.py  teachers -> student.py
calibrate.py threshold              export.py   student -> bundle
evaluate.py  honest figures         report.py   pictures of them
yardstick.py good patches to hold every model against;  ablate.py  one kind of evidence at a time
"""

import agent  # noqa: F401  # first of all: it keeps libraries from reporting to their makers
