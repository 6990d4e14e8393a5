"""Which clips a demo has: subjects, expressions, frame numbers; all drawn from the seed, nothing rendered.

They are planned as SAMM would have them; a layout renames, renumbers and relabels them for its database (`adapt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mepipe.datasets.demo import portraits
from mepipe.datasets.demo.render import ClipSpec

# Subjects of the real release; the demo's keep to them while they last.
_SUBJECTS = (6, 7, *range(9, 27), 28, *range(30, 38))

# class of the cde-3 scheme -> emotion as SAMM spells it -> (action units as a sheet has them, objective class)
_EXPRESSIONS: dict[str, dict[str, tuple[tuple[int | str, int], ...]]] = {
    "positive": {"Happiness": ((12, 1), ("6+12", 1), ("L12", 1), ("6B+12C", 1), ("R12", 1))},
    "surprise": {"Surprise": (("1+2", 2), ("1+2+5", 2), ("1B+2C", 2), ("R1+R2", 2))},
    "negative": {
        "Anger": ((4, 3), ("4+7", 3), ("4C", 3)),
        "Contempt": (("R14", 7), ("L14", 7), (14, 7), ("A14", 7)),
        "Disgust": ((9, 4), ("4+9", 4), (10, 4)),
        "Sadness": (("1+4+15 ", 5), ("15B", 5)),
        "Fear": (("1+2+4", 6), (20, 6)),
    },
    "other": {"Other": ((17, 7), ("17+23", 7), ("7B", 7))},
}
_BALANCED = ("positive", "surprise", "negative")
_EXTRA_EVERY = 4
_FEWEST = 5  # frames of a clip, at any rate: onset, apex, offset, and one between each


@dataclass(frozen=True)
class Entry:
    """One clip and its row of the annotation sheet.

    name: the sample's id. aus: as the sheet has it, a number or text. objective: class 1..7. digits: of the frame
    numbers in SAMM's file names. fps: of the recording; all else about time is in `spec`.
    """

    name: str
    subject: str
    inducement: int
    number: int
    emotion: str
    aus: int | str
    objective: int
    notes: str | None
    digits: int
    fps: float
    spec: ClipSpec

    @property
    def onset(self) -> int:
        return self.spec.first

    @property
    def apex(self) -> int:
        return self.spec.first + self.spec.apex

    @property
    def offset(self) -> int:
        return self.spec.first + self.spec.frames - 1


def entries(subjects: int, clips: int, seed: int, fps: Sequence[float] = (200.0,)) -> list[Entry]:
    """The demo's clips, by subject: `clips` of each, in turn of the three cde-3 classes, negative emotions rotating.

    Every fourth subject has one more, labelled Other, which cde-3 drops. A subject does not depend on how many
    others there are. fps: frame rates, of the subjects in turn; an expression lasts as long at any rate.
    """
    return [e for index in range(subjects) for e in _of_subject(index, clips, seed, fps[index % len(fps)])]


def _of_subject(index: int, clips: int, seed: int, fps: float = 200.0) -> list[Entry]:
    rng = np.random.default_rng([seed, index, 0])
    subject = f"{_SUBJECTS[index] if index < len(_SUBJECTS) else 38 + index - len(_SUBJECTS):03d}"
    classes = [_BALANCED[k % 3] for k in range(clips)]
    classes += ["other"] if index % _EXTRA_EVERY == 1 else []
    turn = 2 * index  # each subject begins with another negative emotion
    emotions = []
    for name in classes:
        choice = list(_EXPRESSIONS[name])
        emotions.append((name, choice[turn % len(choice)]))
        turn += name == "negative"
    order = rng.permutation(len(emotions))
    inducements = np.sort(rng.integers(1, 8, len(emotions)))
    rows = []
    for inducement in np.unique(inducements):
        mine = [emotions[k] for k in order[inducements == inducement]]
        rows += _of_video(rng, subject, int(inducement), mine, portraits.someone(index, seed), (seed, index), fps)
    return rows


def _of_video(
    rng: np.random.Generator,
    subject: str,
    inducement: int,
    emotions: list[tuple[str, str]],
    person: portraits.Person,
    seed: tuple[int, int],
    fps: float,
) -> list[Entry]:
    """The clips cut from one recording: numbers and frames ascend, file names are as wide as its last frame number."""
    specs, facts, number, last = [], [], 0, int(rng.integers(60, 3000))
    for group, emotion in emotions:
        number += int(rng.integers(1, 5))
        options = _EXPRESSIONS[group][emotion]
        aus, objective = options[rng.integers(len(options))]
        at_200_fps = 30 + min(71, round(rng.exponential(15)))
        frames = max(_FEWEST, round(at_200_fps * fps / 200))
        spec = ClipSpec(
            person=person,
            aus=str(aus).strip(),
            peak=float(rng.uniform(0.8, 2.5)),
            frames=frames,
            apex=round((frames - 1) * rng.uniform(0.3, 0.55)),
            residual=float(rng.uniform(0.0, 0.25)),
            rise=float(rng.uniform(0.8, 1.25)),
            fall=float(rng.uniform(0.8, 1.25)),
            first=last + int(rng.integers(20, 2500)),
            seed=(*seed, inducement, number),
        )
        last = spec.first + frames - 1
        specs.append(spec)
        facts.append((number, emotion, aus, objective, "Subtle" if spec.peak < 1 else None))
    # A recording goes on after its last clip: some have fewer than 10,000 frames, some more.
    digits = len(str(max(1000, last + int(rng.integers(0, 6000)))))
    return [
        Entry(
            f"{subject}_{inducement}_{number}",
            subject,
            inducement,
            number,
            emotion,
            aus,
            objective,
            notes,
            digits,
            fps,
            spec,
        )
        for spec, (number, emotion, aus, objective, notes) in zip(specs, facts, strict=True)
    ]
