"""A small store whose values are known: grey levels, flows and the numbers of frames, written by hand."""

import numpy as np

from mepipe import store
from mepipe.datasets.manifest import Sample
from mepipe.store import layout
from mepipe.store.ledger import Record

SIDE = 16
POSITIONS = {"frames": (10, 12, 14, 16, 18), "flow.tvl1": (12, 14, 16, 18)}
GREYS = (40, 80, 120, 160, 200)
U = (1.0, 2.0, -2.0, 0.0)  # px to the right
SHOWS_FACE = {"frames": True, "flow.tvl1": False}
SAMPLE = {"subject": "s", "onset": 10, "apex": 14, "offset": 18, "fps": 100, "emotion": "Happiness", "aus": "12"}


def values(node):
    """One sample's array."""
    if node == "frames":
        return np.stack([np.full((SIDE, SIDE, 3), g, np.uint8) for g in GREYS])
    flow = np.zeros((len(U), 2, SIDE, SIDE), np.float16)
    flow[:, 0] = np.array(U)[:, None, None]
    return flow


def write(root, samples, failed=(), dataset="demo", recipe="features"):
    """The store at `root` with these samples ({id: what is otherwise than in SAMPLE}) of a dataset's recipe."""
    rows = [
        Sample(id=i, clip=i, **{**SAMPLE, **more}).model_dump() | {"frames": f"of {i}"} for i, more in samples.items()
    ]
    opened = store.create(root)
    snapshot = layout.create_snapshot(opened.place, dataset, rows)
    nodes = {}
    for node, axes, units in (("frames", "y x channel", "grey level, 0..255"), ("flow.tvl1", "channel y x", "px")):
        # Another recipe computes otherwise, under other keys.
        key = f"{len(node) + (recipe != 'features'):x}" * 64
        nodes[node] = f"{node}-{key[:8]}"
        array = values(node)
        lineage = {"stage": "flow" if axes[0] == "c" else "sample", "version": 1, "params": {"mode": "<exact>"},
                   "libraries": {}, "upstream": "source"}  # fmt: skip
        spec = layout.FeatureSpec(
            nodes[node], ("frame", *axes.split()), array.shape, str(array.dtype), (),
            [np.array(POSITIONS[node], float)] * len(rows), False,
            {"key": key, "node": node, "units": units, "lineage": lineage, "shows_face": SHOWS_FACE[node]},
        )  # fmt: skip
        layout.create_feature(opened.place, snapshot, list(samples), spec)
        feature = opened._at(snapshot, nodes[node])
        for name in samples:
            if name in failed:
                feature.ledger.append([Record(name, "failed", "f", reason="align: no face")])
            else:
                feature.ledger.append([Record(name, "done", "f", digest=feature.write(name, array))])
    opened.set_ref(dataset, recipe, snapshot, nodes)
    return opened
