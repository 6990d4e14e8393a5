"""Run folders as the page shows them: whatever is in them, one that is damaged is listed with what is wrong.

`mepipe.train.runs` reads the same files for the command line, and ends at the first that is damaged.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from mepipe.train.composites import database

LIMIT = 32 << 20  # bytes of a file that is read


def names(root: Path) -> list[str]:
    """Run folders, the latest first."""
    found = sorted(root.glob("[!.]*/environment.json"), key=lambda path: -path.stat().st_mtime)
    return [path.parent.name for path in found]


def about(root: Path, name: str) -> dict[str, Any]:
    """One run in brief: what was asked for, how far it came, its scores; of a damaged one what is wrong with it."""
    folder = root / name
    try:
        config = _json(folder / "config.json")
        metrics = _json(folder / "metrics.json") if (folder / "metrics.json").is_file() else None
        return {
            "name": name,
            "began": (folder / "environment.json").stat().st_mtime,
            "folds": len(list((folder / "folds").glob("[!.]*.json"))),
            "config": {key: config[key] for key in _ASKED},
            "metrics": None if metrics is None else {key: metrics[key] for key in _SCORED if key in metrics},
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return {"name": name, "problem": f"{folder} cannot be read: {type(error).__name__}: {error}."}


_ASKED = ("model", "configuration", "datasets", "protocol", "classes", "seed", "parameters")
_SCORES = ("ACC", "F1", "UF1", "UAR")
_SCORED = (
    *_SCORES,
    "confusion",
    "datasets",
    "folds",
    "intervals",
    "oracle",
    "per_class",
    "reported",
    "samples",
    "weights",
)


def whole(root: Path, name: str) -> dict[str, Any]:
    """One run with its pictures' names and its predictions, one row each."""
    found = about(root, name)
    if "problem" in found:
        return found
    try:
        predictions = _predictions(root / name / "predictions.csv", found["config"]["datasets"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        return {**found, "predictions": [], "pictures": pictures(root, name), "unread": f"predictions.csv: {error}"}
    return {**found, "predictions": predictions, "pictures": pictures(root, name)}


def pictures(root: Path, name: str) -> list[str]:
    """The PNG files of a run; not links, which may lead elsewhere."""
    return sorted(path.name for path in (root / name).glob("[!.]*.png") if path.is_file() and not path.is_symlink())


def picture(root: Path, name: str, file: str) -> bytes:
    """One of `pictures`."""
    return _content(root / name / file)


def _predictions(path: Path, datasets: list[str]) -> list[list[Any]]:
    """dataset, sample, subject, true, predicted, and the probability of what was predicted, where there is one."""
    if not path.is_file():
        return []
    rows = []
    for row in csv.DictReader(_content(path).decode("utf-8").splitlines()):
        sample = row["id"].rpartition("/")[2]
        chance = row.get(f"p_{row['predicted']}")
        rows.append(
            [
                database(row["id"]) or datasets[0],
                sample,
                row["subject"],
                row["true"],
                row["predicted"],
                round(float(chance), 4) if chance else None,
            ]
        )
    return rows


def _json(path: Path) -> Any:
    def refused(text: str) -> None:
        msg = f"{text} is no number"
        raise ValueError(msg)

    return json.loads(_content(path), parse_constant=refused)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        msg = f"{path.name} is larger than {LIMIT} bytes"
        raise ValueError(msg)
    return content
