"""All benchmarks, one after another: prints them, and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from benchmarks import tables

SUBJECTS = (
    "accuracy_flow",
    "accuracy_grid",
    "micro_choice",
    "flow_backends",
    "accuracy_align",
    "accuracy_eulerian",
    "accuracy_magnet",
    "accuracy_rank_pool",
    "accuracy_apex",
    "accuracy_qc",
    "speed_flow",
    "speed",
    "reading",
    "whole",
    "million",
    "executors",
    "folds",
    "embed_cache",
    "manifest_build",
    "view",
    "gpu",
)
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=SUBJECTS, nargs="+", default=SUBJECTS, help="these subjects, not all")
    parser.add_argument("--quick", action="store_true", help="fewer clips and repeats; writes no document")
    given = parser.parse_args()
    for subject in given.only:
        start = time.perf_counter()
        report = importlib.import_module(f"benchmarks.{subject}").run(given.quick)
        text = tables.markdown(report)
        print(text, flush=True)
        print(f"({subject}: {time.perf_counter() - start:.0f} s)\n", flush=True)
        if not given.quick:
            line = tables.machine(f"python -m benchmarks --only {subject}")
            title, _, rest = text.partition("\n\n")
            tables.save(DOCUMENT, subject, f"{title}\n\n{line}\n\n{rest}", SUBJECTS)
    if not given.quick:
        print(f"Written to {DOCUMENT}")


if __name__ == "__main__":
    main()
