"""`plumbline.reported/1`: what a station is, and what became of what it was told last; retained."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

AttemptState: TypeAlias = Literal[
    "pending",
    "downloading",
    "verifying",
    "proving",
    "staged",
    "probation",
    "applied",
    "unchanged",
    "rejected",
    "failed",
    "rolled_back",
    "superseded",
    "cancelled",
]
SettingsSource: TypeAlias = Literal["file", "local", "remote"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ClockReport(_Part):
    synchronised: bool | None = Field(description="null: nobody can tell")
    expiry_checked: bool = Field(description="false: `expires` was not looked at, for want of a clock")


class ProblemReport(_Part):
    path: str | None = Field(None, description="the place in the document or in the settings")
    message: str = Field(description="one sentence for people, with the remedy")


class AttemptReport(_Part):
    """What became of the last document, or of what somebody wanted here."""

    issuer: str | None = Field(None, description="null: the document could not be read so far")
    epoch: int | None = Field(None, description="of the document")
    counter: int | None = Field(None, description="of the document")
    envelope_sha256: str | None = Field(None, description="of the bytes that came")
    address: str | None = Field(None, description="for whom it was")
    state: AttemptState = Field(description="how far it came, or how it ended")
    changed: bool = Field(description="whether the line ran by anything else meanwhile")
    code: int = Field(description="200, 202 while it is under way, or why not: HTTP numbers")
    errors: tuple[ProblemReport, ...] = Field((), description="what is wrong with it, if anything")
    at: str = Field(description="when that was so: UTC, RFC 3339, by the station's clock")


class ActiveSettings(_Part):
    version: int = Field(description="`revision` of the settings")
    sha256: str = Field(description="as in every verdict")
    source: SettingsSource = Field(
        description="file: as installed; local: edited here; remote: by a document"
    )
    issuer: str | None = Field(None, description="of the document that they are from last")
    epoch: int | None = Field(None, description="of that document")
    counter: int | None = Field(None, description="of that document")
    since: str = Field(description="when they came in force: UTC, RFC 3339")


class SettingsAttempt(AttemptReport):
    overwritten: tuple[str, ...] = Field((), description="members that it took from a local edit")
    held: tuple[str, ...] = Field((), description="members of a group's document that the station keeps")


class SettingsReport(_Part):
    active: ActiveSettings = Field(description="those that run")
    effective_sha256: str = Field(
        description="of the merged settings that run, what only this station has left out: equal stations"
        " are equal here"
    )
    attempted: SettingsAttempt | None = Field(None, description="the last document; null: none came yet")
    waiting: SettingsAttempt | None = Field(
        None,
        description="the document that came last while `attempted` goes on: pending, or why it is not taken;"
        " null: none waits",
    )
    last_failed: SettingsAttempt | None = Field(
        None, description="the last document that was tried and failed, whatever came since; null: none"
    )


class BundleRef(_Part):
    id: str = Field(description="its name")
    sha256: str = Field(description="of the manifest")
    counter: int | None = Field(None, description="of the manifest")


class ProofReport(_Part):
    worst_tile_delta: float | None = Field(None, description="how far a golden tile's score was off, at most")
    flips: int | None = Field(None, description="verdicts that are others than the serving bundle's")
    frames: int | None = Field(None, description="of the archive that were judged")


class BundleAttempt(AttemptReport):
    id: str | None = Field(None, description="name of the bundle")
    sha256: str | None = Field(None, description="of its manifest")
    progress: float | None = Field(None, description="of the bytes, 0 to 1")
    attempts: int = Field(0, description="how often it was begun")
    proof: ProofReport | None = Field(None, description="how it did on this machine; null: not yet judged")


class BundleReport(_Part):
    active: BundleRef | None = Field(description="null: none runs")
    previous: BundleRef | None = Field(None, description="the way back; null: there is none")
    attempted: BundleAttempt | None = Field(None, description="the last one; null: none came yet")


class TrustReport(_Part):
    number: int = Field(description="of the trust file; each set is one more than the one before")
    epoch: int = Field(description="in which documents count")
    threshold: int = Field(description="how many keys must sign")
    keys: tuple[str, ...] = Field(description="their ids, 16 hex digits each")


class Reported(_Part):
    """`plumbline.reported/1`."""

    schema_: Literal["plumbline.reported/1"] = Field(
        "plumbline.reported/1", alias="schema", description="name and major version of this message"
    )
    station: str = Field(description="as in the topic")
    boot_id: str = Field(description="UUID of this run of the agent")
    reported_at: str = Field(description="UTC, RFC 3339, by the station's clock")
    sequence: int = Field(description="grows with every report of this run")
    groups: tuple[str, ...] = Field(description="to whose documents the station listens")
    clock: ClockReport = Field(description="how the station's clock was at the last document")
    settings: SettingsReport = Field(description="those in force, and the last that came")
    bundle: BundleReport = Field(description="that serves, and the last that came")
    trust: TrustReport | None = Field(description="null: nothing is trusted, and every document refused")
