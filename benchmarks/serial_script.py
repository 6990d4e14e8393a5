"""The features of the recipe as a laboratory's own script computes them: one clip after another, OpenCV's defaults.

    python -m benchmarks.serial_script MANIFEST ROOT OUT

Written plainly and without mepipe, to be timed by `benchmarks.whole`, and read: it does what published scripts do, not
the least that could be done. Its flow is noisier than the recipe's, and its crops shake (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import butter, lfilter, lfilter_zi

SIZE, FRAMES, LEVELS = 224, 16, 4


def read_frames(folder: Path, onset: int, offset: int) -> list[np.ndarray]:
    """RGB frames; the frame's number is the end of its file's name."""
    files = {int(path.stem.rsplit("_", 1)[-1]): path for path in folder.glob("*.jpg")}
    return [cv2.cvtColor(cv2.imread(str(files[n])), cv2.COLOR_BGR2RGB) for n in range(onset, offset + 1)]


def crop_face(frame: np.ndarray, mesh: object) -> tuple[np.ndarray, np.ndarray]:
    """The square around the landmarks with a margin, resized, and the landmarks in it."""
    height, width = frame.shape[:2]
    face = mesh.process(frame).multi_face_landmarks[0]  # type: ignore[attr-defined]
    points = np.array([(p.x * width, p.y * height) for p in face.landmark])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    side = 1.3 * (points.max(axis=0) - points.min(axis=0)).max()
    left, top = np.maximum(np.rint(centre - side / 2).astype(int), 0)
    right, bottom = left + round(side), top + round(side)
    part = frame[top:bottom, left:right]
    scale = SIZE / np.array([part.shape[1], part.shape[0]])
    return cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_AREA), (points - [left, top]) * scale


def tvl1(onset: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """OpenCV's TV-L1 with its defaults: [2, H, W]."""
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(onset, frame, None).transpose(2, 0, 1)


def strain(flow: np.ndarray) -> np.ndarray:
    """Strain magnitude of one flow field."""
    uy, ux = np.gradient(flow[0])
    vy, vx = np.gradient(flow[1])
    return np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2)


def laplacian_pyramid(frame: np.ndarray) -> list[np.ndarray]:
    levels = []
    for _ in range(LEVELS):
        smaller = cv2.pyrDown(frame)
        levels.append(frame - cv2.pyrUp(smaller, dstsize=(frame.shape[1], frame.shape[0])))
        frame = smaller
    return [*levels, frame]


def magnify(frames: np.ndarray, fps: float, low: float = 0.4, high: float = 4.0, alpha: float = 20.0) -> np.ndarray:
    """Eulerian magnification: a pyramid for each frame, lfilter along time on each level. frames: [T, H, W, 3]."""
    b, a = butter(2, [low, high], btype="band", fs=fps)
    pyramids = [laplacian_pyramid(frame) for frame in frames.astype(np.float64)]
    magnified = []
    for level in zip(*pyramids, strict=True):
        course = np.stack(level)
        start = lfilter_zi(b, a).reshape(-1, 1, 1, 1) * course[:1]
        filtered, _ = lfilter(b, a, course, axis=0, zi=start)
        magnified.append(course + alpha * filtered)
    result = []
    for index in range(len(frames)):
        image = magnified[-1][index]
        for level in magnified[-2::-1]:
            image = cv2.pyrUp(image, dstsize=(level.shape[2], level.shape[1])) + level[index]
        result.append(image)
    return np.stack(result)


def rank_pool(frames: np.ndarray) -> np.ndarray:
    """The dynamic image: approximate rank pooling, stretched to 0..255."""
    count = len(frames)
    pooled = np.zeros(frames.shape[1:])
    for t in range(1, count + 1):
        weight = sum((2 * k - count - 1) / k for k in range(t, count + 1))
        pooled += weight * frames[t - 1].astype(np.float64)
    return (255 * (pooled - pooled.min()) / max(np.ptp(pooled), 1e-9)).astype(np.uint8)


def extract(row: dict[str, str], root: Path, out: Path, mesh: object, seconds: dict[str, float]) -> None:
    """All features of one clip, saved under its id."""
    onset, apex, offset = int(row["onset"]), int(row["apex"]), int(row["offset"])
    last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[stage] += now - last
        last = now

    frames = read_frames(root / row["clip"], onset, offset)
    lap("decode")
    cropped = [crop_face(frame, mesh) for frame in frames]
    faces = np.stack([face for face, _ in cropped])
    lap("crop")
    chosen = np.linspace(0, len(faces) - 1, FRAMES).round().astype(int)
    gray = [cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces]
    flow = np.stack([tvl1(gray[0], gray[k]) for k in chosen[1:]])
    flow_apex = tvl1(gray[0], gray[apex - onset])
    lap("flow")
    strains = np.stack([strain(field) for field in flow])
    motion_map = np.concatenate([flow_apex, strain(flow_apex)[None]])
    lap("strain")
    magnified = magnify(faces / 255.0, float(row["fps"]))[chosen]
    lap("magnify")
    pooled = rank_pool(faces[chosen])
    lap("rank-pool")
    features = {
        "landmarks": cropped[0][1].astype(np.float32),
        "frames": faces[chosen],
        "flow": flow.astype(np.float16),
        "strain": strains.astype(np.float16),
        "motion-map": motion_map.astype(np.float32),
        "magnify": magnified.astype(np.float16),
        "rank-pool": pooled,
    }
    for name, array in features.items():
        np.save(out / f"{row['id']}_{name}.npy", array)
    lap("save")


def main() -> None:
    parser = argparse.ArgumentParser(description="Features of every clip of a manifest, one after another.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, help="OpenCV's threads; default: its own choice")
    given = parser.parse_args()
    if given.threads:
        cv2.setNumThreads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    import mediapipe as mp

    seconds: dict[str, float] = defaultdict(float)
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1) as mesh:
        for row in csv.DictReader(given.manifest.open()):
            extract(row, given.root, given.out, mesh, seconds)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
