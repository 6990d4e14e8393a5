"""Timing in turn: each run once in every round, so that a machine whose speed drifts disturbs all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.tables import Asked, Row

HEADER = ("what", "ms", "ms, CPU", "times faster", "range")
Runs = dict[str, Callable[[], object]]


def timed(runs: Runs, rounds: int) -> dict[str, np.ndarray]:
    """Wall and CPU milliseconds, float64 [rounds, 2], each run once in every round; once before, uncounted."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for run_once in runs.values():
        run_once()
    for _ in range(rounds):
        for name, run_once in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run_once()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: 1e3 * np.array(times) for name, times in found.items()}


def rows(times: dict[str, np.ndarray], extra: Mapping[str, Row] | None = None) -> list[Row]:
    lines: list[Row] = []
    for name in times:
        times_faster = ratios(times, name)
        wall, cpu = np.median(times[name], axis=0)
        span = f"{times_faster.min():.3g}-{times_faster.max():.3g}"
        lines.append(
            (name, float(wall), float(cpu), float(np.median(times_faster)), span, *(extra or {}).get(name, ()))
        )
    return lines


def ratios(times: dict[str, np.ndarray], name: str) -> np.ndarray:
    return times[next(iter(times))][:, 1] / times[name][:, 1]


def faster(times: dict[str, np.ndarray], name: str, bound: float) -> Asked:
    return Asked(f"{name}: times faster", float(np.median(ratios(times, name))), ">=", bound)
