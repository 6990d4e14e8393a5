"""Whether the frames of an aligned clip show the face: measured, and what is done where they do not.

A face mesh is found with a hand before the face, in a blurred frame and in half a face. So each frame is compared with
the clip's own onset: how sharp it is, and how much of the face looks otherwise. A few bad frames between good ones are
bridged; more, or at the clip's ends, refuse it.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from mepipe.errors import SampleError

# Fine texture (between Gaussians of 1 and 2 px of the crop) of a frame against the clip's median. Real clips keep
# within .87 to 1.11, speaking or smiling; a Gaussian blur of 1.2 px of the crop leaves .7 to .8, of 2 px .4 to .5.
MIN_SHARPNESS = 0.7
# Share of the face whose coarse grey level differs from the onset's by more than this part of the face's mean. On real
# clips speech and laughter leave it below .05, the broadest smile at .10; a hand before mouth or cheek makes it .2-.3.
MAX_HIDDEN, _CHANGE = 0.12, 0.15
# At most so many frames in a row, and so large a share of the clip (but one), are bridged.
MAX_RUN, MAX_SHARE = 3, 0.1
NO_FACE = "no face"
# Coarse is what is left when the crop is reduced to so many pixels and smoothed by a little more than one.
_COARSE, _SMOOTH = 56, 1.25
# Light changes contrast by so much; a wall in place of a face leaves none.
_LIGHT = (0.7, 1.4)


class Look:
    """What an aligned face looks like: measures of crops, uint8 [size, size, C], against that of the onset.

    mask: uint8 [size, size], not 0 where the face is.
    """

    def __init__(self, onset: np.ndarray, mask: np.ndarray) -> None:
        import cv2

        self._mask = mask > 0
        self._inside = cv2.resize(mask, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) > 127
        self._onset = self._coarse(gray(onset))
        self._change = max(_CHANGE * float(self._onset.mean()), 1.0)

    def texture(self, crop: np.ndarray) -> float:
        """Strength of the face's fine texture, grey levels: falls with blur."""
        import cv2

        picture = gray(crop).astype(np.float32)
        fine = cv2.GaussianBlur(picture, (0, 0), 1) - cv2.GaussianBlur(picture, (0, 0), 2)
        return float(fine[self._mask].std())

    def hidden(self, crop: np.ndarray) -> float:
        """Share of the face that looks otherwise than at the onset; brighter or darker as a whole is the same."""
        coarse = self._coarse(gray(crop))
        around, moved = self._onset - self._onset.mean(), coarse - coarse.mean()
        gain = np.clip((around @ moved) / max(float(around @ around), 1.0), *_LIGHT)
        return float((np.abs(moved - gain * around) > self._change).mean())

    def _coarse(self, picture: np.ndarray) -> np.ndarray:
        import cv2

        small = cv2.resize(picture, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).astype(np.float32)
        return cv2.GaussianBlur(small, (0, 0), _SMOOTH)[self._inside]


def gray(crop: np.ndarray) -> np.ndarray:
    """A crop, uint8 [size, size, C], in gray: uint8 [size, size]."""
    import cv2

    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.shape[2] == 3 else np.ascontiguousarray(crop[:, :, 0])


def relative(textures: np.ndarray) -> np.ndarray:
    """Sharpness: `Look.texture` of the frames [T] relative to their median; a tenth of a grey level is nothing."""
    return (textures + 0.1) / (np.median(textures) + 0.1)


def _runs(bad: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop (excluded) of the runs of bad frames, bool [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def may_bridge(bad: np.ndarray) -> bool:
    """Whether these frames, bool [T], may be bridged: short runs, few in all, and neither the first nor the last."""
    short = all(start > 0 and stop < len(bad) and stop - start <= MAX_RUN for start, stop in _runs(bad))
    return short and bool(bad.sum() <= max(MAX_SHARE * len(bad), 1))


def bridge(values: list[np.ndarray], bad: np.ndarray) -> None:
    """Replaces the values of bad frames by those in between their neighbours': linear in time, of the same dtype."""
    for start, stop in _runs(bad):
        before, after = values[start - 1].astype(np.float64), values[stop].astype(np.float64)
        for index in range(start, stop):
            value = before + (after - before) * (index - start + 1) / (stop - start + 1)
            kind = values[index].dtype
            values[index] = (np.rint(value) if kind == np.uint8 else value).astype(kind)


def refuse(faults: dict[int, str], numbers: list[int], measured: dict[str, np.ndarray]) -> NoReturn:
    """Raises SampleError that names the frames that fail and why, and the range of what was measured on them.

    faults: reasons by frame number. measured: figures [T] by name.
    """
    reasons = []
    for reason in dict.fromkeys(faults.values()):
        named = sorted(number for number, why in faults.items() if why == reason)
        more = " ..." if len(named) > 12 else ""
        reasons.append(f"{reason} in {', '.join(map(str, named[:12]))}{more}")
    bad = np.isin(numbers, list(faults))
    ranges = [f"{name} {values[bad].min():.2f}..{values[bad].max():.2f}" for name, values in measured.items()]
    what = "No face" if set(faults.values()) == {NO_FACE} else "Cannot align"
    msg = (
        f"{what} in {len(faults)} of {len(numbers)} frames.\n{'; '.join(reasons)}.\n"
        f"Measured on these: {', '.join(ranges)}. Up to {MAX_RUN} blurred, hidden or lost frames between good ones, "
        f"{MAX_SHARE:.0%} of the clip at most, are bridged.\n"
        "Look at these frames (something before the face, a turned head, a cut in the recording?) and shorten "
        "onset..offset, or leave the clip out."
    )
    raise SampleError(msg)
