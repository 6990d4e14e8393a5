from __future__ import annotations

import cv2
import numpy as np

from mepipe.ops.stabilise import Stabiliser, apply


def test_a_change_of_light_is_no_motion() -> None:
    from skimage.data import astronaut

    soft = cv2.resize(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[70:182, 170:282], None, fx=2, fy=2)
    rng = np.random.default_rng(4)
    mask = np.zeros((224, 224), np.uint8)
    cv2.ellipse(mask, (112, 112), (70, 95), 0, 0, 360, 255, -1)

    def noisy(picture: np.ndarray) -> np.ndarray:
        return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)

    stabiliser = Stabiliser(noisy(soft.astype(np.float32)), mask)
    points = stabiliser.points.astype(np.float64)
    for gain in (0.96, 1.0, 1.04):
        picture = noisy(soft * np.float32(gain))
        fit = stabiliser.fit(lambda m, p=picture: cv2.warpAffine(p, m, (224, 224), flags=18), np.eye(2, 3))
        moved = np.sqrt(((apply(fit.matrix, points) - points) ** 2).sum(axis=1).mean())
        assert moved < 0.03, gain


def test_skin_that_moved_on_its_own_is_trusted_less_the_next_time() -> None:
    from skimage.data import astronaut

    face = cv2.resize(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[70:182, 170:282], None, fx=2, fy=2)
    mask = np.zeros((224, 224), np.uint8)
    cv2.ellipse(mask, (112, 112), (70, 95), 0, 0, 360, 255, -1)
    x, y = np.meshgrid(*(np.arange(224, dtype=np.float32),) * 2)
    jaw = np.clip((y - 95) / 60, 0, 1)  # more than half of the face goes with it

    def spoken(down: float) -> np.ndarray:
        return cv2.remap(face, x, (y - down * jaw).astype(np.float32), cv2.INTER_CUBIC)

    def error(stabiliser: Stabiliser, down: float) -> float:
        fit = stabiliser.fit(lambda m: cv2.warpAffine(spoken(down), m, (224, 224), flags=18), np.eye(2, 3))
        return float(np.hypot(*(apply(fit.matrix, stabiliser.points) - stabiliser.points).T).max())

    used = Stabiliser(face, mask)
    for syllable in np.linspace(0, 6 * np.pi, 30):
        error(used, 2 * np.sin(syllable) ** 2)
    assert error(Stabiliser(face, mask), 1.0) > 0.5, "who has not seen it follows the jaw"
    assert error(used, 1.0) < 0.05
