"""Run folders, as they are found: which there are, how far they came, and what their papers print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from mepipe.errors import UsageError
from mepipe.train.runfolder import read_json

SCORES = ("ACC", "F1", "UF1", "UAR")


@dataclass(frozen=True)
class Run:
    """A run folder. metrics: None where folds are missing. folds: how many are done."""

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Any] | None
    folds: int
    began: float

    @property
    def title(self) -> str:
        """What it is, in a line."""
        c = self.config
        return (
            f"{c['model']} ({c['configuration']}), {'+'.join(c['datasets'])}, {c['protocol']}, "
            f"{len(c['classes'])} classes, seed {c['seed']}"
        )


@dataclass(frozen=True)
class Printed:
    """What a paper prints, on the real databases: scores 0..1, by database where it pools several."""

    source: str
    table: str
    configuration: str
    datasets: tuple[str, ...]
    protocol: str
    classes: int
    scores: dict[str, float]
    parts: dict[str, dict[str, float]]


def read(path: Path) -> Run:
    """The run in a folder; UsageError where there is none, MepipeError where a file of it is damaged."""
    if not (path / "environment.json").is_file():
        msg = f"{path}: is no run folder. See: mepipe runs ls"
        raise UsageError(msg)
    metrics = read_json(path / "metrics.json") if (path / "metrics.json").is_file() else None
    done = len(list((path / "folds").glob("[!.]*.json")))
    return Run(path, read_json(path / "config.json"), metrics, done, (path / "environment.json").stat().st_mtime)


def find(root: Path) -> Iterator[Run]:
    """The runs in a folder, by name."""
    for path in sorted(root.glob("*/environment.json")):
        yield read(path.parent)


@cache
def _tables() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files("mepipe.train").joinpath("papers.yaml").read_text(encoding="utf-8"))
    return found


def printed(run: Run) -> list[Printed]:
    """What the model's paper prints of this configuration: of the same protocol and classes first, else all of it."""
    paper = _tables().get(run.config["model"], {"source": "", "rows": ()})
    rows = [_printed(paper["source"], row) for row in paper["rows"]]
    rows = [r for r in rows if r.configuration == run.config["configuration"]] or [
        r for r in rows if r.configuration == "paper"
    ]
    same = (run.config["protocol"], len(run.config["classes"]))
    return [r for r in rows if (r.protocol, r.classes) == same] or rows


def _printed(source: str, row: dict[str, Any]) -> Printed:
    def share(scores: dict[str, Any]) -> dict[str, float]:
        return {name: scores[name] / 100 for name in SCORES if name in scores}

    parts = {name: share(scores) for name, scores in row.get("parts", {}).items()}
    return Printed(
        source,
        str(row["table"]),
        row["configuration"],
        tuple(row["datasets"]),
        row["protocol"],
        row["classes"],
        share(row),
        parts,
    )


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What runs were asked otherwise: {name: value in each run}; of parameters those that all of them have."""
    flat = [{**{k: v for k, v in r.config.items() if k != "parameters"}, **r.config["parameters"]} for r in runs]
    found = {name: [one[name] for one in flat] for name in flat[0] if all(name in one for one in flat)}
    return {name: values for name, values in found.items() if any(v != values[0] for v in values)}
