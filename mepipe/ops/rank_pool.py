"""Rank pooling: a clip as one image, whose scalar product with the frames grows with time.

Fernando et al. 2017 ("Rank pooling for action recognition") learn that image with a ranking machine; Bilen et
al. 2016 and 2017 ("Dynamic image networks", "Action recognition with dynamic image networks") replace the
machine by a weighted sum of the frames, its first step from zero. MPT, eq. 1, uses the fast version.
"""

from __future__ import annotations

import numpy as np

from mepipe.errors import MepipeError, UsageError
from mepipe.ops import temporal

METHODS = ("approximate", "approximate-frames", "exact")


def rank_pool(frames: np.ndarray, method: str = "approximate", slack: float = 1.0) -> np.ndarray:
    """The clip as one image: float32 [...], from frames uint8 or floating point [T, ...].

    method: three published forms.
    `approximate`: weighted sum of the frames for the running-mean features psi_t = mean of frames 1..t,
    alpha_t = 2 (T - t + 1) - (T + 1) (H_T - H_(t-1)), H the harmonic numbers (Bilen et al. 2016, eq. 2; the
    code of "dynamic images"; MPT).
    `approximate-frames`: the same for the frames themselves, alpha_t = 2 t - T - 1 (Bilen et al. 2017):
    reversing the clip negates the image.
    `exact`: the linear ranking machine (hinge loss on all pairs of running means, Bilen et al. 2016, eq. 1),
    solved by scikit-learn; its scale is arbitrary. 0.3 s for 60 frames of 224 x 224 x 3; the others 20 ms.

    slack: above 0, for `exact` only; what a wrongly ordered pair costs, averaged over pairs of rms distance 1,
    against half the squared length of the result. Towards 0 it becomes `approximate`. Large values order every
    pair, by the noise: on a movement of 0.8 px with noise of 2 grey levels, the correlation with the clean image
    falls from 0.86 (1) to 0.51 (100) and 0.11 (1e5), while the share of pairs in order grows from 0.86 to 0.94
    and 1.

    A movement that returns to its start is not ordered by any one direction, and `approximate-frames` of one
    that is symmetric in time is nothing but noise: pool such clips from onset to apex, or by running means.
    A still clip, and a single frame, give exactly zero. Values are signed; see `to_image`.

    >>> clip = np.array([0.0, 0.5, 1.0], dtype=np.float32)[:, None]
    >>> rank_pool(clip, "approximate-frames")
    array([2.], dtype=float32)
    """
    frames = np.asarray(frames)
    if len(frames) == 0:
        msg = f"Nothing to pool: frames are {list(frames.shape)}. Give at least one frame."
        raise MepipeError(msg)
    if method == "exact":
        if not 0 < slack < np.inf:
            msg = f"The ranking machine cannot run with slack={slack:g}. Set it above 0 (1 is the default)."
            raise UsageError(msg)
        return _ranking_machine(frames, slack)
    return temporal.mix(weights(len(frames), method)[None], frames)[0]


def even_light(frames: np.ndarray) -> np.ndarray:
    """Frames [T, H, W, C], each scaled to the mean brightness of the first: float32, the same shape.

    A light that drifts by 2 % moves every pixel, and a micro-expression few: without this it, not the face, orders
    the frames. A black frame is left as it is.
    """
    frames = np.asarray(frames, dtype=np.float32)
    means = frames.mean(axis=tuple(range(1, frames.ndim)), keepdims=True, dtype=np.float64)
    return frames * np.where(means > 0, means[0] / np.where(means > 0, means, 1), 1).astype(np.float32)


def weights(n_frames: int, method: str = "approximate") -> np.ndarray:
    """What the approximate methods multiply each frame by: float64 [T], sum zero."""
    t = np.arange(1, n_frames + 1, dtype=np.float64)
    centred = 2 * t - n_frames - 1
    if method == "approximate-frames":
        return centred
    if method == "approximate":
        # Frame t is in psi_i for every i >= t, with weight 1 / i: the closed form's harmonic numbers.
        return np.cumsum((centred / t)[::-1])[::-1]
    msg = f"No rank pooling called {method!r}. Choose one of {', '.join(METHODS)}."
    raise UsageError(msg)


def to_image(pooled: np.ndarray) -> np.ndarray:
    """Pooled values stretched to 0..255, uint8, same shape: least to 0, greatest to 255.

    One range for the whole image, all channels together, as the dynamic-image code does, so that hue
    survives. A constant image (a still clip) becomes 128: no change, no direction.
    """
    least, greatest = float(pooled.min()), float(pooled.max())
    if not np.isfinite(greatest - least):
        msg = f"Pooled values from {least} to {greatest} make no image. Check the frames for NaN and infinity."
        raise MepipeError(msg)
    if greatest == least:
        return np.full(pooled.shape, 128, dtype=np.uint8)
    scaled = (pooled.astype(np.float64) - least) * (255 / (greatest - least))
    return np.round(scaled).astype(np.uint8)


def ordering_accuracy(frames: np.ndarray, pooled: np.ndarray, running_mean: bool = True) -> float:
    """Share of frame pairs that the scores <pooled, psi_t> put in the right order: 0..1; a tie is wrong.

    frames: [T, ...], T >= 2. pooled: [...]. psi_t is the running mean up to t, or frame t itself where
    `running_mean` is false (what `approximate-frames` is made for).
    """
    if len(frames) < 2:
        msg = f"There is no order in {len(frames)} frame. Give two or more."
        raise MepipeError(msg)
    # Scores are relative to the first frame, which moves all by the same amount, and keeps their digits.
    changes = frames.reshape(len(frames), -1).astype(np.float64)
    changes -= changes[0]
    scores = changes @ pooled.reshape(-1).astype(np.float64)
    if running_mean:
        scores = np.cumsum(scores) / np.arange(1, len(scores) + 1)
    earlier, later = np.triu_indices(len(scores), k=1)
    return float(np.mean(scores[later] > scores[earlier]))


def _ranking_machine(frames: np.ndarray, slack: float) -> np.ndarray:
    """min 1/2 |d|^2 + slack x mean over pairs of max(0, 1 - <d, psi_later - psi_earlier>)."""
    features = frames.reshape(len(frames), -1).astype(np.float64)
    features -= features[0]
    if len(features) == 1 or not features.any():
        return np.zeros(frames.shape[1:], dtype=np.float32)
    features = np.cumsum(features, axis=0) / np.arange(1, len(features) + 1)[:, None]
    # The solution is a sum of the features: their scalar products are all that the machine needs of the
    # pixels.
    values, vectors = np.linalg.eigh(features @ features.T)
    kept = values > 1e-12 * values[-1]
    lengths = np.sqrt(values[kept])
    coordinates = vectors[:, kept] * lengths
    earlier, later = np.triu_indices(len(features), k=1)
    differences = coordinates[later] - coordinates[earlier]
    differences /= np.sqrt(np.mean(np.sum(differences**2, axis=1)))
    # A classifier needs two classes: each pair is shown forward and backward.
    examples = np.concatenate([differences, -differences])
    order = np.repeat([1, -1], len(differences))
    from sklearn.svm import LinearSVC

    machine = LinearSVC(loss="hinge", C=slack / len(examples), fit_intercept=False, random_state=0, max_iter=100_000)
    machine.fit(examples, order)
    combination = (vectors[:, kept] / lengths) @ machine.coef_[0]
    return (combination @ features).reshape(frames.shape[1:]).astype(np.float32)
