"""Plumbline, the workshop: train a published method, distil it, export what ships.

data.py      good parts and test parts on disk -> tiles as the device cuts them
methods/     one file per method;  parts/  what they share
train.py     method -> teacher     distill.py  teacher -> student.py
calibrate.py threshold             export.py   student -> bundle
evaluate.py  honest figures        report.py   pictures of them
yardstick.py good patches to hold every model against
"""
