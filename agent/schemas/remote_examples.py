"""One example of each message that tells a station something, and of what it answers; as in `examples.py`."""

from __future__ import annotations

from typing import Any

from agent.clock import rfc3339
from agent.contract.arguments import COMMANDS
from agent.contract.commands import Response, SignedRequest
from agent.contract.desired import (
    DesiredBundle,
    DesiredSettings,
    HttpsSource,
    MqttSource,
    Target,
    group_address,
    station_address,
)
from agent.contract.reported import (
    ActiveSettings,
    BundleRef,
    BundleReport,
    ClockReport,
    ProblemReport,
    Reported,
    SettingsAttempt,
    SettingsReport,
    TrustReport,
)
from agent.schemas import examples

GROUP = "press"


def desired_settings() -> DesiredSettings:
    return DesiredSettings(
        schema_="plumbline.desired-settings/1",
        issuer="plant1",
        epoch=1,
        counter=19,
        address=station_address(examples.TOPICS),
        expires=examples.WHEN.replace(year=2027),
        settings={"revision": 19, "judge": {"threshold": 0.028}},
    )


def desired_bundle() -> DesiredBundle:
    return DesiredBundle(
        schema_="plumbline.desired-bundle/1",
        issuer="plant1",
        epoch=1,
        counter=20,
        address=group_address(GROUP),
        expires=examples.WHEN.replace(year=2027),
        target=Target(id="cells", sha256="ab" * 32, size_bytes=28_311_552),
        sources=(
            HttpsSource(kind="https", url="https://models.plant.example/cells"),
            MqttSource(kind="mqtt"),
        ),
    )


def reported() -> Reported:
    at = rfc3339(examples.WHEN)
    return Reported(
        station=examples.TOPICS.station,
        boot_id=examples.BOOT,
        reported_at=at,
        sequence=812,
        groups=(GROUP,),
        clock=ClockReport(synchronised=True, expiry_checked=True),
        settings=SettingsReport(
            active=ActiveSettings(
                version=18,
                sha256="cd" * 32,
                source="remote",
                issuer="plant1",
                epoch=1,
                counter=18,
                since=at,
            ),
            effective_sha256="ce" * 32,
            attempted=SettingsAttempt(
                issuer="plant1",
                epoch=1,
                counter=19,
                envelope_sha256="cf" * 32,
                address=station_address(examples.TOPICS),
                state="rejected",
                changed=False,
                code=422,
                errors=(
                    ProblemReport(
                        path="cameras.0.exposure_us", message="no such key; see `plumbline schema settings`"
                    ),
                ),
                at=at,
            ),
        ),
        bundle=BundleReport(active=BundleRef(id="cells", sha256="ab" * 32, counter=42)),
        trust=TrustReport(number=1, epoch=1, threshold=1, keys=("56475aa75463474c",)),
    )


def command(name: str) -> dict[str, Any]:
    return {
        "schema": "plumbline.command/1",
        "id": f"mes-1-{name}-000017",
        "expires": rfc3339(examples.WHEN.replace(minute=25)),
        "args": dict(COMMANDS[name].example),
    }


def signed_command() -> SignedRequest:
    """What is signed of one that changes the station."""
    return SignedRequest(
        schema_="plumbline.signed-command/1",
        id="plant-office-pause-000004",
        issuer="plant-office",
        address=station_address(examples.TOPICS),
        name="pause",
        expires=examples.WHEN.replace(minute=25),
        args=dict(COMMANDS["pause"].example),
    )


def response() -> Response:
    return Response(
        id="mes-1-replay-000017",
        name="replay",
        code=200,
        message="done",
        data={"replayed": 20, "waiting": 0, "gone": [[184_200, 184_202]]},
        expiry_checked=True,
    )
