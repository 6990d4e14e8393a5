"""Which frames of a clip to use, and frames at positions between them.

`indices` picks frames by the rules of the papers; `positions` and `at` resample in time.
"""

from __future__ import annotations

import numpy as np

from mepipe.errors import MepipeError, SampleError, UsageError
from mepipe.ops import temporal

STRATEGIES = ("uniform", "key-frame", "middle", "apex-window", "random", "full", "onset-apex")

# Standard deviation of the smoothing kernel in seconds; see `smoothing_width`.
_SMOOTHING = 0.020


def indices(
    strategy: str,
    n_frames: int,
    onset: int,
    apex: int | None,
    offset: int,
    count: int | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """The chosen frames, as sorted indices into the clip, within onset..offset: int64 [count].

    n_frames: frames in the clip. onset, apex, offset: indices into the clip, 0 <= onset <= apex <= offset <
    n_frames; apex None where the database has none. count: how many, for all but `full` and `onset-apex`,
    which have their own.

    uniform: at regular intervals, onset and offset included, to the nearest frame (MPT; Ra-ICL, M10).
    key-frame: onset, apex and offset always, the rest spread evenly over rise and fall in proportion to their
    durations (MER-CLIP, "temporally adaptive" after ME-PLAN, which keeps these three); count of 3 or more.
    middle: consecutive frames from the middle of the movement (Ra-ICL, 3.1 and A.1.2).
    apex-window: consecutive frames centred on the apex, shifted inward at onset and offset (Ra-ICL, M7).
    random: drawn from `rng` (Ra-ICL, M9).
    full: every frame (Ra-ICL, M8).
    onset-apex: these two (HCP_MER, Micro-AU CLIP; Ra-ICL, M1).

    Frames are distinct where the movement has `count` of them. Where it has fewer, `middle` and `apex-window`
    fall back to `full` (Ra-ICL, A.2.1: "If the required number of instances exceeds the sequence length, full
    sampling is performed") and return fewer than `count`; the others repeat frames and return exactly
    `count`.

    SampleError: positions that do not fit the clip, no apex where the strategy needs one. UsageError: the
    request.

    >>> indices("key-frame", 60, onset=0, apex=20, offset=59, count=4).tolist()
    [0, 20, 40, 59]
    >>> indices("middle", 60, onset=0, apex=None, offset=59, count=4).tolist()
    [28, 29, 30, 31]
    """
    if strategy not in STRATEGIES:
        msg = f"No sampling called {strategy!r}. Choose one of {', '.join(STRATEGIES)}."
        raise UsageError(msg)
    _check_order(n_frames, onset, apex, offset)
    if strategy == "full":
        return np.arange(onset, offset + 1, dtype=np.int64)
    if strategy == "onset-apex":
        return np.array([onset, _need_apex(strategy, apex)], dtype=np.int64)
    wanted = _need_count(strategy, count)
    if strategy == "uniform":
        return _nearest(np.linspace(onset, offset, wanted))
    if strategy == "key-frame":
        return _key_frames(onset, _need_apex(strategy, apex), offset, wanted)
    length = offset - onset + 1
    if strategy == "random":
        return onset + _draw(length, wanted, rng)
    span = min(wanted, length)
    if strategy == "middle":
        start = onset + (length - span) // 2
    else:
        start = min(max(_need_apex(strategy, apex) - span // 2, onset), offset + 1 - span)
    return np.arange(start, start + span, dtype=np.int64)


def positions(n_frames: int, count: int) -> np.ndarray:
    """`count` positions at regular intervals from the first frame to the last: float64 [count], in frames.

    MPT's standard length: whole frames (the nearest, all distinct) where the clip has `count` or more;
    fractional ones, to be interpolated by `at`, where it has fewer. One position is the first frame.

    >>> positions(3, 5).tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    if n_frames < 1 or count < 1:
        msg = f"No {count} positions in {n_frames} frames. Both must be 1 or more."
        raise UsageError(msg)
    even = np.linspace(0, n_frames - 1, count)
    return even if n_frames < count else _nearest(even).astype(np.float64)


def at(frames: np.ndarray, positions: np.ndarray, width: float = 0.0) -> np.ndarray:
    """The clip at fractional positions in time: float32 [count, ...], in the frames' own range.

    frames: uint8 or floating point [T, ...]. positions: [count] in 0..T-1.
    width 0: linear interpolation between neighbours; at a whole position the frame itself.
    width > 0: a quartic is fitted to the neighbouring frames, weighted by a Gaussian of that standard
    deviation in frames, and read at the position; beyond its ends the clip is mirrored, because an expression
    rests at onset and offset. Sensor noise falls to 0.40 of its size within the clip and 0.53 at its ends
    (width 4), and the peak of a movement of 0.15 s loses 0.4 % (200 fps). A clip that is cut in mid-rise is not at
    rest: there the first frame moves by 6 % of the whole movement. `smoothing_width` gives a width.
    """
    frames = np.asarray(frames)
    where = _checked(len(frames), positions, width)
    if _smooths(len(frames), width):
        return temporal.mix(_local_quartic(len(frames), where, width), frames, onto=frames[0])
    out = np.empty((len(where), *frames.shape[1:]), dtype=np.float32)
    for result, position in zip(out, where, strict=True):
        before = int(position)
        result[...] = frames[before]
        if position > before:
            result += np.float32(position - before) * (frames[before + 1].astype(np.float32) - result)
    return out


def weights(n_frames: int, positions: np.ndarray, width: float = 0.0) -> np.ndarray:
    """What `at` multiplies the frames by: float64 [count, T], rows sum to one."""
    where = _checked(n_frames, positions, width)
    if _smooths(n_frames, width):
        return _local_quartic(n_frames, where, width)
    before = where.astype(np.int64)
    found = np.zeros((len(where), n_frames))
    rows = np.arange(len(where))
    found[rows, before] = 1 - (where - before)
    found[rows, np.minimum(before + 1, n_frames - 1)] += where - before
    return found


def _smooths(n_frames: int, width: float) -> bool:
    # So narrow a Gaussian leaves the second neighbours less than 1/2000 of the weight: nothing is averaged.
    return width >= 0.5 and n_frames > 1


def _checked(n_frames: int, positions: np.ndarray, width: float) -> np.ndarray:
    where = np.asarray(positions, dtype=np.float64)
    last = n_frames - 1
    if where.size and not (where.min() >= 0 and where.max() <= last):
        msg = (
            f"Positions from {where.min():g} to {where.max():g} in a clip of {n_frames} frames.\n"
            f"They must be in 0..{last}: nothing is known beyond the clip's ends."
        )
        raise MepipeError(msg)
    if not 0 <= width < np.inf:
        msg = f"A smoothing width of {width:g} frames does not exist. Give 0 (none) or more."
        raise UsageError(msg)
    return where


def smoothing_width(fps: float) -> float:
    """A width for `at` that removes noise and hardly any motion, in frames: 20 ms, or 0 below 50 fps.

    4 frames at 200 fps, 2 at 100. Below one frame a quartic passes through the neighbours and smooths next to nothing.
    Chosen with the `micro` preset of TV-L1: `python -m benchmarks --only accuracy_grid`.
    """
    width = fps * _SMOOTHING
    return width if width >= 1 else 0.0


def _local_quartic(n_frames: int, where: np.ndarray, width: float) -> np.ndarray:
    """Weights of a quartic fitted around each position, read there: float64 [count, T], rows sum to one.

    At equal noise it lowers a short peak less than a parabola does, which is fitted over fewer frames.
    """
    # Cut off where it has become nothing, but never so close that fewer than five frames are left.
    reach = max(4 * width, 2.5)
    number = np.floor(where).astype(np.int64)[:, None] + np.arange(-int(reach), int(reach) + 2)
    distance = number - where[:, None]
    kernel = np.where(np.abs(distance) <= reach, np.exp(-0.5 * (distance / width) ** 2), 0)
    powers = np.stack([(distance / width) ** power for power in range(5)], axis=-1)
    normal = np.einsum("ct,ctp,ctq->cpq", kernel, powers, powers)
    at_zero = np.broadcast_to(np.eye(5)[:, :1], (len(where), 5, 1))
    weights = kernel * (powers @ np.linalg.solve(normal, at_zero))[..., 0]
    folded = np.zeros((len(where), n_frames))
    source = number % (2 * (n_frames - 1))  # beyond its ends the clip is mirrored
    np.add.at(folded, (np.arange(len(where))[:, None], np.minimum(source, 2 * (n_frames - 1) - source)), weights)
    return folded


def _nearest(exact: np.ndarray) -> np.ndarray:
    """Nearest whole frames; halves go up, always, so that steps of one frame or more never meet (np.round's
    may)."""
    return np.floor(exact + 0.5).astype(np.int64)


def _key_frames(onset: int, apex: int, offset: int, count: int) -> np.ndarray:
    """`count` frames of which onset, apex and offset are three; steps of rise and fall as alike as can be."""
    rise, fall, steps = apex - onset, offset - apex, count - 1
    share = round(steps * rise / (rise + fall)) if rise + fall else 0
    # Each side that exists has a step, and no side more steps than frames unless both are full.
    fewest, most = min(rise, 1), steps - min(fall, 1)
    if steps <= rise + fall:
        fewest, most = max(fewest, steps - fall), min(most, rise)
    share = min(max(share, fewest), most)
    rising = np.linspace(onset, apex, share + 1) if rise else np.full(share + 1, float(onset))
    falling = np.linspace(apex, offset, steps - share + 1)[1:]
    return _nearest(np.concatenate([rising, falling]))


def _draw(length: int, count: int, rng: np.random.Generator | None) -> np.ndarray:
    """Every frame as often as all can be had alike, and the remainder at random without repeats; sorted."""
    if rng is None:
        msg = "random sampling must be repeatable and got no generator. Give rng=np.random.default_rng(seed)."
        raise UsageError(msg)
    shares, rest = divmod(count, length)
    drawn = rng.choice(length, size=rest, replace=False)
    return np.sort(np.concatenate([np.tile(np.arange(length), shares), drawn])).astype(np.int64)


def _need_count(strategy: str, count: int | None) -> int:
    least = 3 if strategy == "key-frame" else 1
    if count is None or count < least:
        msg = f"{strategy} sampling cannot give {count} frames. Set count to {least} or more."
        raise UsageError(msg)
    return count


def _need_apex(strategy: str, apex: int | None) -> int:
    if apex is None:
        msg = (
            f"{strategy} sampling needs the apex, and this sample has none.\n"
            "Choose uniform, middle, random or full, which do without, or spot the apex first."
        )
        raise SampleError(msg)
    return apex


def _check_order(n_frames: int, onset: int, apex: int | None, offset: int) -> None:
    middle = onset if apex is None else apex
    if not 0 <= onset <= middle <= offset < n_frames:
        msg = (
            f"Onset {onset}, apex {apex}, offset {offset} do not fit a clip of {n_frames} frames.\n"
            f"Expected 0 <= onset <= apex <= offset <= {n_frames - 1}.\n"
            "Correct the sample's row in the manifest, or check that the clip is complete."
        )
        raise SampleError(msg)
