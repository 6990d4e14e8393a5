"""Samples as pictures: all frames of a panel in one, so that nothing has to be fetched while it plays."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mepipe.view.look import Panel
from mepipe.view.server.catalog import Dataset, Shown

THUMB = 112  # pixels
MOST = 128  # frames in a strip: of longer clips some, at regular intervals
SIDE = 8192  # pixels: browsers decode twice that, some encoders no more
AT_ONCE = 16  # frames: what is being coloured takes ten times what it is stored as


@dataclass(frozen=True)
class Strip:
    """How the frames of a panel lie in its picture: from the top, `rows` in a column, then the next column."""

    frames: int
    height: int
    width: int
    rows: int
    chosen: Sequence[int]

    @classmethod
    def of(cls, shape: Sequence[int], kind: str) -> Strip:
        """shape: of `Panel.values`, frames first."""
        height, width = shape[2:] if kind == "flow" else shape[1:3]
        rows = max(1, min(AT_ONCE, SIDE // height))
        most = min(MOST, rows * max(1, SIDE // width))
        chosen = np.unique(np.linspace(0, shape[0] - 1, min(most, shape[0])).round().astype(int))
        return cls(shape[0], height, width, rows, chosen.tolist())

    @property
    def columns(self) -> int:
        """So many columns hold all chosen frames."""
        return -(-len(self.chosen) // self.rows)


def strip(shown: Shown, panel: Panel, sample: str, scale: float) -> bytes:
    """All frames of a panel; the colours of what has a scale are exact."""
    frames = _frames(shown, sample)
    lie = Strip.of(panel.values(frames).shape, panel.kind)
    sheet = np.zeros((min(lie.rows, len(lie.chosen)) * lie.height, lie.columns * lie.width, 3), np.uint8)
    with np.errstate(invalid="ignore"):  # what is not finite becomes black
        for number, frame in enumerate(_coloured(panel, frames[lie.chosen], scale)):
            top, left = number % lie.rows * lie.height, number // lie.rows * lie.width
            sheet[top : top + lie.height, left : left + lie.width] = frame
    return _encoded(Image.fromarray(sheet), exact=panel.kind != "picture")


def key(panel: Panel, scale: float) -> bytes:
    """What the colours mean."""
    return _encoded(Image.fromarray(panel.key(scale)), exact=True)


def thumb(dataset: Dataset, sample: str) -> bytes | None:
    """A sample at its apex, small; None where it has no picture."""
    for shown in dataset.features.values():
        if not shown.panels or shown.feature.states.of(sample) != "done":
            continue
        panel = shown.panels[0]
        frames = _frames(shown, sample)
        frame = frames[_apex(dataset, shown, sample, len(frames))][None]
        picture = Image.fromarray(panel.rgb(frame, panel.scale([frame]))[0])
        picture.thumbnail((THUMB, THUMB), Image.Resampling.BOX)
        return _encoded(picture, exact=False)
    return None


def mime(content: bytes) -> str:
    """Of what is made here."""
    return "image/jpeg" if content[:2] == b"\xff\xd8" else "image/webp"


def _frames(shown: Shown, sample: str) -> np.ndarray:
    array = shown.feature[sample]
    return array if "frame" in shown.feature.dims else array[None]


def _coloured(panel: Panel, frames: np.ndarray, scale: float) -> Iterator[np.ndarray]:
    """Frame by frame; strain that has a sign in one go, since its colours depend on whether any frame has one."""
    signed = panel.kind == "strain" and bool((panel.values(frames) < 0).any())
    step = len(frames) if signed else AT_ONCE
    for start in range(0, len(frames), step):
        yield from panel.rgb(frames[start : start + step], scale)


def _apex(dataset: Dataset, shown: Shown, sample: str, frames: int) -> int:
    """The frame nearest to the apex; the middle one where none is annotated."""
    row, positions = dataset.row(sample), shown.feature.position(sample)
    number = (row or {}).get("apex", -1)
    if number < 0 or not len(positions):
        return frames // 2
    return int(np.argmin(np.abs(positions - number)))


def _encoded(picture: Image.Image, exact: bool) -> bytes:
    """Exact: WebP without loss, half as large as PNG and made in half the time. Else JPEG, made in a tenth of it."""
    out = io.BytesIO()
    if exact:
        picture.save(out, "WEBP", lossless=True, quality=0, method=0)
    else:
        picture.save(out, "JPEG", quality=92, subsampling=0)
    return out.getvalue()
