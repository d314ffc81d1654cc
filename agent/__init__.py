"""Plumbline, the device. A frame's journey:

cameras/   a source hands over a frame, or says why it cannot
track/     a line camera's blocks become windows or parts of a flat, continuous web
line/      Line.step: capture -> prepare -> infer -> judge -> publish
engines/   the bundle's model, on what this machine has
outbox/    one durable record for each trigger
uplink/    from there to the broker; gateways/ to other receivers
status/    how the station stands; page/ shows it to people
"""

import os
import sys

# Libraries that report their use to their makers must not: no thread, identifier or connection of theirs.
# They look when they are loaded, and this package is loaded first, by the workshop too.
os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO then takes its own stub
