"""From labelled defects to a label set, and what it would make of each of them by all others. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.foreign import shown
from agent.labels import nearest
from agent.labels.label_set import (
    LEAST,
    MOST_CLASSES,
    MOST_OF_CLASS,
    UNKNOWN,
    Head,
    LabelsError,
    LabelSet,
    by_scale,
)
from agent.labels.vectors import PARTS
from agent.messages import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A labelled defect; `vector` (d,)."""

    label: str
    source: str
    vector: Floats


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A set, and its leave-one-out confusion: `confusion[label][told]` samples; told may be unknown."""

    labels: LabelSet
    confusion: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]  # classes with too few samples

    @property
    def accuracy(self) -> float:
        """Mean over classes of the share that all other samples name rightly."""
        return float(
            np.mean([row.get(label, 0) / sum(row.values()) for label, row in self.confusion.items()])
        )


def one_spelling(labels: Sequence[str]) -> list[str]:
    """The same labels; those that differ in capitals alone as most are written, of a draw as the first is."""
    counts = Counter(labels)
    written: dict[str, str] = {}
    for one, count in counts.items():
        if count > counts[written.setdefault(one.casefold(), one)]:
            written[one.casefold()] = one
    return [written[one.casefold()] for one in labels]


def enough(labels: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """How many there are of each class that can be learned, and of each that has too few, by name."""
    counts: defaultdict[str, int] = defaultdict(int)
    for one in labels:
        counts[one] += 1
    ordered = sorted(counts.items())
    return (
        {name: count for name, count in ordered if count >= LEAST and name.casefold() != UNKNOWN},
        {name: count for name, count in ordered if count < LEAST or name.casefold() == UNKNOWN},
    )


def check(labels: Sequence[str]) -> list[str]:
    """The classes that can be learned of these labels. Raises LabelsError where there are none."""
    enough_of, too_few = enough(labels)
    if not enough_of:
        there = ", ".join(f"{shown(name)} {count}" for name, count in list(too_few.items())[:20])
        raise LabelsError(
            f"no class has {LEAST} labelled defects; there are {there or 'none at all'}: mark more of them "
            "with their label"
        )
    if len(enough_of) > MOST_CLASSES:
        raise LabelsError(
            f"{len(enough_of)} classes have labels, and {MOST_CLASSES} can be told apart at most; mark alike "
            "defects with one label"
        )
    return list(enough_of)


def learn(samples: Sequence[Sample], *, recipe: str, bundle: str, bundle_sha256: str) -> Learned:
    """The set of these samples, of each class the first MOST_OF_CLASS; capitals make no class of their own.

    Raises LabelsError.
    """
    spelled = one_spelling([one.label for one in samples])
    samples = [replace(one, label=label) for one, label in zip(samples, spelled, strict=True)]
    classes = check([one.label for one in samples])
    chosen = [
        one for label in classes for one in [each for each in samples if each.label == label][:MOST_OF_CLASS]
    ]
    class_of = np.array([classes.index(one.label) for one in chosen])
    vectors = np.stack([one.vector for one in chosen]).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise LabelsError("features of a labelled defect are no numbers; check the bundle")
    scales = nearest.scales_of(vectors, PARTS)
    to_class = nearest.left_out(by_scale(vectors, scales), class_of, len(classes))
    head = Head(
        recipe=recipe,
        bundle=bundle,
        bundle_sha256=bundle_sha256,
        classes=tuple(classes),
        class_of=tuple(class_of.tolist()),
        sources=tuple(one.source for one in chosen),
        scales=scales,
        limit=nearest.limit_of(to_class),
        sharpness=nearest.sharpness_of(to_class, class_of),
    )
    return Learned(
        labels=LabelSet(head=head, vectors=vectors),
        confusion=_confusion(head, to_class),
        left_out=enough(one.label for one in samples)[1],
    )


def _confusion(head: Head, to_class: Floats) -> dict[str, dict[str, int]]:
    names = (*head.classes, UNKNOWN)
    told = np.where(to_class.min(axis=1) > head.limit, len(head.classes), to_class.argmin(axis=1))
    counts = np.zeros((len(head.classes), len(names)), int)
    np.add.at(counts, (np.array(head.class_of), told), 1)
    return {
        label: {name: int(count) for name, count in zip(names, row, strict=True) if count}
        for label, row in zip(head.classes, counts, strict=True)
    }
