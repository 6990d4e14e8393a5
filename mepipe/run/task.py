"""One task: one sample, all of its nodes. The clip is decoded once, the DAG walked in memory, features written."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mepipe.clip import Clip
from mepipe.datasets import clips
from mepipe.errors import MepipeError, SampleError
from mepipe.recipe.model import SOURCE
from mepipe.recipe.resolve import Resolved, needed
from mepipe.run.fingerprint import fingerprint
from mepipe.run.plan import Plan, Task
from mepipe.stages.declare import Source
from mepipe.store.feature import Feature
from mepipe.store.ledger import Record
from mepipe.store.place import Place


@dataclass
class Outcome:
    """What became of a task: {node: reason} of what failed, seconds by stage and of "decode", bytes written."""

    sample: str
    failed: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    written: int = 0


@dataclass(frozen=True)
class _Failure:
    reason: str
    final: bool


def run(plan: Plan, task: Task) -> Outcome:
    """Compute and store what a task wants. Never raises for what is the sample's fault, or a stage's."""
    outcome = Outcome(task.sample.id)
    decoding = _Timed()
    results: dict[str, Any] = {SOURCE: _open(plan.root, task, decoding)}
    order = needed(plan.nodes, task.wanted)
    with ThreadPoolExecutor(1) as writer:  # a disk is waited for while the next node is computed
        kept = []
        for step, name in enumerate(order):
            node = plan.nodes[name]
            start, decoded = time.perf_counter(), decoding.seconds
            results[name] = _compute(node, results[node.input], plan.device, whole=name in task.wanted)
            took = time.perf_counter() - start - (decoding.seconds - decoded)
            outcome.seconds[node.stage.name] += took
            if name in task.wanted:
                kept.append(writer.submit(_keep, plan, task, node, results[name], took, outcome))
            later = {plan.nodes[n].input for n in order[step + 1 :]}
            results = {n: r for n, r in results.items() if n in later}
        for one in kept:
            one.result()
    if decoding.seconds:
        outcome.seconds["decode"] = decoding.seconds
    return outcome


class _Timed:
    """Frames on their way to a stage, and the seconds that decoding them took."""

    def __init__(self) -> None:
        self.frames: Iterable[tuple[int, np.ndarray]] = ()
        self.seconds = 0.0

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        frames = iter(self.frames)
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            self.seconds += time.perf_counter() - start
            if frame is None:
                return
            yield frame


def _open(root: Path, task: Task, decoding: _Timed) -> Source | _Failure:
    sample = task.sample
    try:
        decoding.frames = clips.open_clip(root / sample.clip, sample.onset, sample.offset, sample.missing)
    except Exception as error:
        return _failure(error, "decode")
    return Source(decoding, sample.onset, sample.apex, sample.offset, sample.fps)


def _failure(error: Exception, where: str) -> _Failure:
    if isinstance(error, MepipeError):
        return _Failure(str(error), True)
    return _Failure(f"{where}: unexpected {type(error).__name__}: {error}", False)


def _compute(node: Resolved, given: Any, device: str, whole: bool) -> Any:
    """The value of a node, or a _Failure: its own, or that of what feeds it.

    whole: all of it is wanted; else frames that are computed when they are asked for stay so.
    """
    if isinstance(given, _Failure):
        return given
    try:
        choice = {"device": device} if node.stage.on_device else {}
        value = node.stage.compute(given, node.params, **choice)
        if isinstance(value, Clip) and value.course is not None and not whole:
            return value
        frames = value.frames if isinstance(value, Clip) else value
        output = node.output
        if frames.dtype != output.dtype or frames.ndim != len(output.dims):
            msg = f"gave {frames.dtype} with {frames.ndim} axes, and {output.dtype} {output.dims} is declared"
            raise TypeError(msg)
        if frames.dtype.kind == "f" and not np.isfinite(frames).all():
            msg = f"{node.stage.name}: the result is not finite. Look at the clip with mepipe inspect."
            raise SampleError(msg)
    except Exception as error:
        return _failure(error, node.stage.name)
    return value


@cache
def _feature(place: Place, path: str) -> Feature:
    return Feature(place, path)  # kept open from task to task


def _stored(value: Any, dtype: str) -> np.ndarray:
    """The array as it goes on the disk; rounded and clipped where it becomes uint8."""
    frames = value.frames if isinstance(value, Clip) else value
    if dtype == "uint8" and frames.dtype != np.uint8:
        frames = np.clip(np.rint(frames), 0, 255)
    if dtype == "float16":
        return halved(frames)
    return np.ascontiguousarray(frames.astype(dtype, copy=False))


def halved(values: np.ndarray) -> np.ndarray:
    """Numbers as float16, contiguous; by the processor's own instruction, with numpy's bits, where OpenCV has it."""
    import cv2

    convert = getattr(cv2, "convertFp16", None)  # until OpenCV 5
    if convert is None or values.dtype != np.float32 or not values.size:
        return np.asarray(values, np.float16, order="C")
    rows = np.ascontiguousarray(values).reshape(-1, values.shape[-1] if values.ndim else 1)
    halves: np.ndarray = convert(rows).view(np.float16).reshape(values.shape)
    return halves


def quarantine(plan: Plan, task: Task, reason: str) -> Outcome:
    """Record that a task cannot be run at present, for every feature it was to give."""
    outcome = Outcome(task.sample.id)
    for name in task.wanted:
        _keep(plan, task, plan.nodes[name], _Failure(reason, final=False), 0.0, outcome)
    return outcome


def _keep(plan: Plan, task: Task, node: Resolved, value: Any, took: float, outcome: Outcome) -> None:
    """Data first, record last. took: seconds to compute it."""
    start = time.perf_counter()
    feature = _feature(plan.store.place, f"{plan.snapshot}/{node.folder}")
    sample = task.sample.id
    about: dict[str, Any] = {
        "sample": sample,
        "fingerprint": fingerprint(task.sample, task.frames, node.reads),
        "turn": task.wanted[node.name],
        "seconds": round(took, 4),
        "host": socket.gethostname() + (f", {plan.device}" if plan.device != "cpu" else ""),
        "time": time.time(),
    }
    if isinstance(value, _Failure):
        outcome.failed[node.name] = value.reason
        feature.ledger.append([Record(state="failed", reason=value.reason, final=value.final, **about)])
    else:
        array = _stored(value, str(node.dtype))
        feature.ledger.append([Record(state="done", digest=feature.write(sample, array), **about)])
        outcome.done.append(node.name)
        outcome.written += array.nbytes
    outcome.seconds["store"] += time.perf_counter() - start
