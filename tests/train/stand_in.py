"""Synthetic stand-ins for features: faces of noise, each subject its own, and a movement in one of three places."""

import numpy as np

PLACES = ((14, 32), (48, 16), (48, 48))  # (y, x) in a face of 64: brows, and each corner of the mouth


ARGUMENTS = ["train", "mpt", "--dataset", "demo", "--backbone", "tiny", "--weights", "random", "--epochs", "2"]


def train(store, folder, *more):
    """`mepipe train mpt` on a store of `write_store`."""
    from click.testing import CliRunner

    from mepipe.cli import cli

    arguments = [*ARGUMENTS, "--store", str(store), "--run", str(folder), "--device", "cpu", *more]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def _smooth(rng, size, sigma):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal((size, size)), sigma, mode="wrap")
    return noise / noise.std()


def clip(label, face, rng, size=64, frames=16):
    """Magnified frames float16 [T, y, x, 3] and a dynamic image uint8 [y, x, 3] of a movement that rises and falls."""
    from scipy.ndimage import map_coordinates

    y, x = np.mgrid[:size, :size].astype(float)
    cy, cx = np.array(PLACES[label]) * size / 64 + rng.normal(0, size / 32, 2)
    bump = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * (size / 12) ** 2)) * rng.uniform(0.7, 1.3)
    course = np.exp(-((np.arange(frames) - rng.uniform(5, 10)) ** 2) / 8)
    moved = [map_coordinates(face, [y + a * bump, x], order=1, mode="nearest") for a in course]
    plain = 0.5 + 0.12 * (np.stack(moved) + 0.03 * rng.standard_normal((frames, size, size)))
    magnified = plain + 4 * (plain - plain[0])
    weights = 2 * np.arange(1, frames + 1) - frames - 1
    pooled = np.tensordot(weights, plain, 1)
    pooled = 255 * (pooled - pooled.min()) / (pooled.max() - pooled.min())
    rgb = np.repeat(magnified[..., None], 3, axis=-1).astype(np.float16)
    return rgb, np.repeat(pooled[..., None], 3, axis=-1).astype(np.uint8)


def features(subjects=6, clips=6, size=64, seed=0):
    """(clips [N, 16, y, x, 3], images [N, y, x, 3], labels [N], subject of each id)."""
    rng = np.random.default_rng(seed)
    made, labels, who = [], [], {}
    for s in range(subjects):
        face = _smooth(rng, size, 1.5) + _smooth(rng, size, 6)
        for c in range(clips):
            labels.append(c % 3)
            who[f"s{s}_{c}"] = f"s{s}"
            made.append(clip(c % 3, face, rng, size))
    motion, images = zip(*made, strict=True)
    return np.stack(motion), np.stack(images), np.array(labels), who


EMOTIONS = ("Anger", "Happiness", "Surprise")


def write_store(root, subjects=3, clips=3, size=32, failed=(), missing=(), emotions=None):
    """A store with both features of MPT over dataset `demo`, in the places and by the functions of the real one."""
    from mepipe import store
    from mepipe.datasets.manifest import Sample
    from mepipe.store import layout
    from mepipe.store.ledger import Record

    motion, images, labels, who = features(subjects, clips, size)
    rows = [
        Sample(
            id=i, subject=s, clip=i, onset=0, apex=8, offset=15, fps=200, emotion=(emotions or {}).get(i, EMOTIONS[y])
        ).model_dump()
        | {"frames": f"frames of {i}"}
        for (i, s), y in zip(who.items(), labels, strict=True)
    ]
    opened = store.create(root)
    snapshot = layout.create_snapshot(opened.place, "demo", rows)
    nodes = {}
    for node, values, dims in (("rank-pool", images, "yxc"), ("magnify.frames", motion, "tyxc")):
        nodes[node] = f"{node}-{'0' * 8}"
        spec = layout.FeatureSpec(
            nodes[node],
            tuple({"t": "frame", "y": "y", "x": "x", "c": "channel"}[d] for d in dims),
            values.shape[1:],
            str(values.dtype),
            ("red", "green", "blue"),
            None,
            False,
            {"key": "0" * 64, "units": "1"},
        )
        layout.create_feature(opened.place, snapshot, list(who), spec)
        feature = opened._at(snapshot, nodes[node])
        for i, sample in enumerate(who):
            if sample in failed:
                feature.ledger.append([Record(sample, "failed", "f", reason="align: no face in the onset frame")])
            elif sample not in missing:
                feature.ledger.append([Record(sample, "done", "f", digest=feature.write(sample, values[i]))])
    opened.set_ref("demo", "mpt", snapshot, nodes)
    return opened
