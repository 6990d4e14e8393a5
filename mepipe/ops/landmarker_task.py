"""MediaPipe's Face Landmarker (tasks API): the same 478 points as Face Mesh, for MediaPipe 0.10 and 1.x.

Its detector is the short-range one and the mesh that of Grishchenko et al., "Attention Mesh" (CVPRW 2020); points
differ from those of `landmarks.FaceMesh` by about 1 % of the face's width.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np

from mepipe.ops.landmarks import in_pixels, quiet_stderr, rgb


class FaceLandmarker:
    """Finds the most prominent face of a frame: uint8 [H, W, C] -> float32 [478, 2] in pixels, or None.

    As `landmarks.FaceMesh`, in everything that is said there; `model` is the file `face_landmarker.task`. Raises
    what MediaPipe raises where that file is no such model.
    """

    def __init__(self, model: Path) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        # The file is read here, since MediaPipe takes paths for something else on some systems.
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=1,
        )
        with quiet_stderr():
            self._task = vision.FaceLandmarker.create_from_options(options)
            self._task.detect(_image(np.zeros((64, 64, 3), np.uint8)))
        self._chatty = True  # until each of its models has run once, which takes a face

    def __call__(self, frame: np.ndarray) -> np.ndarray | None:
        picture = rgb(frame)
        with quiet_stderr() if self._chatty else nullcontext():
            faces = self._task.detect(_image(picture)).face_landmarks
        if not faces:
            return None
        self._chatty = False
        return in_pixels(faces[0], picture)

    def close(self) -> None:
        """Frees the inference graph."""
        self._task.close()


def _image(picture: np.ndarray) -> object:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
