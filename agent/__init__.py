"""Plumbline, the device. A frame's journey:

cameras/   a source hands over a frame, or says why it cannot
web/       line blocks become windows of a flat, continuous web
line/      Line.step: capture -> prepare -> infer -> judge -> publish
uplink/    one durable record for each trigger, then the broker
status/    what people see of it
"""
