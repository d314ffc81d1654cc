"""Plumbline, the workshop: train a published method, distil it, export what ships.

data/      good parts and test parts on disk -> tiles as the device cuts them -> batches
methods/   one file per method; parts/ what they share
training/  method -> teacher, the one training loop
student/   teachers -> lessons -> the one-step student
shipping/  student -> bundle, with its threshold
judging/   honest figures, and the yardstick that every model is held against
"""

import agent  # noqa: F401  # first of all: it keeps libraries from reporting to their makers
