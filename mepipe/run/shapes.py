"""What follows from a recipe and a manifest before a frame is read: frame numbers, shapes, sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mepipe import __version__
from mepipe.datasets.manifest import Sample
from mepipe.errors import SampleError
from mepipe.recipe.resolve import Resolved, needed
from mepipe.stages.declare import Annotation
from mepipe.store.layout import FeatureSpec


def specs(nodes: Mapping[str, Resolved], samples: Sequence[Sample]) -> dict[str, FeatureSpec]:
    """The skeleton of each stored node. Walks the DAG without data: frame numbers and shapes only."""
    annotations = [Annotation(s.onset, s.apex, s.offset, s.fps) for s in samples]
    probes = [Annotation(0, 400, 999, 200.0), Annotation(0, 400, 1000, 200.0)]
    start = [np.arange(a.onset, a.offset + 1, dtype=np.float64) for a in [*annotations, *probes]]
    times: dict[str, list[np.ndarray]] = {"source": start}
    shapes: dict[str, tuple[int, ...]] = {"source": (0, 0, 0)}
    units: dict[str, str] = {"source": ""}
    found: dict[str, FeatureSpec] = {}
    for name, node in nodes.items():
        units[name] = node.output.units or units[node.input]
        positions = [_positions(node, a, p) for a, p in zip([*annotations, *probes], times[node.input], strict=True)]
        framed = [p for p in positions if p is not None]
        times[name] = framed if framed else times[node.input]
        shapes[name] = node.stage.shape(node.params, shapes[node.input])
        if node.dtype is None:
            continue
        output = node.output
        longest = max((len(p) for p in framed[:-2]), default=0)
        found[name] = FeatureSpec(
            folder=node.folder,
            dims=output.dims,
            shape=(max(1, longest), *shapes[name]) if framed else shapes[name],
            dtype=node.dtype,
            channels=output.channels,
            positions=framed[:-2] if framed else None,
            varying=bool(framed) and len(framed[-2]) != len(framed[-1]),
            attributes={
                "node": name,
                "key": node.key,
                "stage": node.stage.name,
                "version": node.stage.version,
                "params": node.params.model_dump(mode="json"),
                "lineage": node.lineage,
                "reads": list(node.reads),
                "units": units[name],
                "shows_face": output.shows_face,
                "made_by": f"mepipe {__version__}",
            },
        )
    return found


def largest(nodes: Mapping[str, Resolved], wanted: Iterable[str], sample: Sample) -> int:
    """The bytes of the largest array that stages pass on for a sample."""
    wanted = set(wanted)
    annotation = Annotation(sample.onset, sample.apex, sample.offset, sample.fps)
    shapes: dict[str, tuple[int, ...]] = {"source": (0, 0, 0)}
    times = {"source": np.arange(sample.onset, sample.offset + 1, dtype=np.float64)}
    sizes = [0]
    for name in needed(nodes, wanted):
        node = nodes[name]
        found = _positions(node, annotation, times[node.input])
        shapes[name] = node.stage.shape(node.params, shapes[node.input])
        times[name] = times[node.input] if found is None else found
        if node.stage.deferred(node.params) and name not in wanted:
            continue
        frames = 1 if found is None else len(found)
        sizes.append(frames * math.prod(shapes[name]) * np.dtype(node.output.dtype).itemsize)
    return max(sizes)


def _positions(node: Resolved, annotation: Annotation, upstream: np.ndarray) -> np.ndarray | None:
    if node.stage.timeline is None:
        return None
    try:
        return node.stage.timeline(node.params, annotation, upstream)
    except SampleError:
        return np.empty(0)  # the sample's task will fail with this reason
