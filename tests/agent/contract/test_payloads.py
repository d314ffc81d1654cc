"""What leaves the agent names itself: CloudEvents attributes, a crop's metadata, the status."""

from __future__ import annotations

import hashlib
import json

from agent.clock import ManualClock
from agent.contract.payloads import crop_header, crop_row
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.stations import status

IMAGE = b"\xff\xd8 not quite a picture"
CROP = crop_row(
    TOPICS,
    camera="top",
    crop_id="c-1",
    result_id="r-1",
    defect_index=2,
    bbox_px=(412, 88, 30, 22),
    image=IMAGE,
    sha256=hashlib.sha256(IMAGE).hexdigest(),
    content_type="image/jpeg",
    created=ManualClock().utc_now(),
)


def test_a_crop_is_raw_bytes_with_its_metadata_beside_them() -> None:
    assert (CROP.topic, CROP.payload, CROP.content_type) == (TOPICS.crop("top"), IMAGE, "image/jpeg")
    assert dict(CROP.properties) == {
        "result_id": "r-1",
        "crop_id": "c-1",
        "defect_index": "2",
        "sha256": hashlib.sha256(IMAGE).hexdigest(),
        "bbox": "412,88,30,22",
        "verdict": "fail",
        "specversion": "1.0",
        "id": "c-1",
        "source": TOPICS.prefix,
        "type": "plumbline.crop/1",
        "time": "2026-01-01T00:00:00.000Z",
    }


def test_a_crop_header_says_in_json_what_the_properties_say() -> None:
    header = json.loads(crop_header(CROP))
    assert header.pop("schema") == "plumbline.crop_header/1"
    assert header.pop("content_type") == "image/jpeg"
    assert header == dict(CROP.properties)


def test_the_status_names_its_schema_and_leaves_out_nothing() -> None:
    said = json.loads(status("degraded", "no model"))
    assert (said["schema"], said["state"], said["reason"]) == ("plumbline.status/1", "degraded", "no model")
    assert set(said) == {
        "schema",
        "state",
        "reason",
        "station",
        "boot_id",
        "versions",
        "engine",
        "bundle_sha256",
        "settings_sha256",
        "since",
        "paused",
        "disabled",
    }
