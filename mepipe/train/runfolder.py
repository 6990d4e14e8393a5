"""The run folder: everything that a training was, and what it gave. It is resumed by fold.

config.json       what was asked for, resolved      folds/<fold>.json  what one fold gave, whole or absent
features.json     snapshot, feature keys, samples   predictions.csv    one row per sample
environment.json  versions, platform, git commit    metrics.json       over the pooled predictions of all folds
checkpoints/      on request: what training changed, a file per fold
"""

from __future__ import annotations

import csv
import io
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mepipe.errors import MepipeError
from mepipe.store import files
from mepipe.train import metrics
from mepipe.train.composites import database
from mepipe.train.folds import fold_seed
from mepipe.train.protocols import Fold

if TYPE_CHECKING:
    from torch import nn

    from mepipe.train.selection import Selection

ORACLE = "selected on test data"
_PACKAGES = ("mepipe", "numpy", "scikit-learn", "timm", "torch", "torchvision")


def to_json(content: object) -> str:
    """JSON as every file of a run folder has it: the same content, the same bytes."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """A file of a run folder; MepipeError when it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        msg = f"{path}: cannot be read as JSON ({error}). Delete it, and run the same command again."
        raise MepipeError(msg) from None


def environment() -> dict[str, Any]:
    """What the numbers may depend on besides configuration and features."""
    import torch

    return {
        "git_commit": _commit(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of the packages that compute."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def begin(folder: Path, config: Mapping[str, Any], features: Mapping[str, Any]) -> None:
    """Make a run folder, or take up one that was begun with the same configuration, features and versions.

    MepipeError where it was begun with others: it names what differs.
    """
    now = environment()
    given = {"config.json": config, "features.json": features, "environment.json": now}
    if (folder / "environment.json").exists():
        then = read_json(folder / "environment.json")
        differences = [
            *_differences(read_json(folder / "config.json"), json.loads(to_json(config))),
            *_differences(read_json(folder / "features.json"), json.loads(to_json(features))),
            *_differences(then["versions"], now["versions"]),
        ]
        if differences:
            msg = (
                f"{folder} was begun otherwise: {'; '.join(differences)}. "
                f"Name another folder with --run, or repeat the command that began this one."
            )
            raise MepipeError(msg)
        return
    files.make_folder(folder / "folds")
    for name, content in given.items():  # environment.json last: with it, the folder is begun
        files.write(folder / name, to_json(content).encode())


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    keys = [k for k in sorted({*before, *after}) if before.get(k) != after.get(k)]
    return [f"{k} was {_short(before.get(k))}, is {_short(after.get(k))}" for k in keys]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _path(folder: Path, fold: Fold) -> Path:
    return folder / "folds" / f"{quote(fold.name, safe=' ')}.json"


def write_fold(folder: Path, fold: Fold, record: Mapping[str, Any]) -> None:
    """Keep what `folds.train_fold` gave, in one rename."""
    files.write(_path(folder, fold), to_json(record).encode())


def write_checkpoint(folder: Path, fold: Fold, learner: nn.Module) -> None:
    """Keep what training changed of a network: checkpoints/<fold>.safetensors. What is frozen is in its weights."""
    from safetensors.torch import save

    frozen = {name for name, p in learner.named_parameters() if not p.requires_grad}
    state = {k: v.detach().cpu().contiguous() for k, v in learner.state_dict().items() if k not in frozen}
    files.make_folder(folder / "checkpoints")
    files.write(folder / "checkpoints" / f"{quote(fold.name, safe=' ')}.safetensors", save(state))


def read_fold(folder: Path, fold: Fold, seed: int) -> dict[str, Any] | None:
    """What an earlier call kept of a fold, None where it did not come to it."""
    path = _path(folder, fold)
    if not path.exists():
        return None
    record = read_json(path)
    expected = (fold.name, fold_seed(seed, fold.name), list(fold.train), list(fold.test))
    if not isinstance(record, dict) or expected != tuple(record.get(k) for k in ("fold", "seed", "train", "test")):
        msg = f"{path}: is of another fold or seed. Delete it, and run the same command again."
        raise MepipeError(msg)
    return record


def finish(folder: Path, records: Sequence[Mapping[str, Any]], selection: Selection, weights: str) -> dict[str, Any]:
    """Pool the folds: predictions.csv, metrics.json and the pictures; returns the metrics.

    Reported is the last epoch. `oracle` is, per fold, the first of the epochs with most correct test predictions.
    Pooled over datasets, each has its own scores too (`datasets`), of the same predictions.
    """
    from mepipe.train import pictures

    classes, subjects = selection.classes, selection.subjects
    pooled = _Pooled.of(records, len(max(records, key=lambda r: len(r["predicted"]))["predicted"]))
    scores = metrics.score(pooled.true, pooled.by_epoch[-1], classes)
    result = {
        **scores,
        "intervals": metrics.intervals(
            pooled.true, pooled.by_epoch[-1], [subjects[i] for i in pooled.ids], len(classes)
        ),
        "reported": "last epoch",
        "weights": weights,
        "folds": len(records),
        "samples": len(pooled.true),
        "oracle": {"note": ORACLE, **metrics.score(pooled.true, [p for r in records for p in _best(r)], classes)},
    }
    if len(selection.datasets) > 1:
        result["datasets"] = {d: metrics.score(*pooled.of_dataset(d), classes) for d in selection.datasets}
    files.write(folder / "predictions.csv", _predictions(records, classes, subjects).encode())
    files.write(folder / "metrics.json", to_json(result).encode())
    note = f"{weights}, {len(pooled.true)} samples, {len(records)} folds"
    pictures.confusion(folder / "confusion.png", scores, classes, note)
    pictures.subjects(folder / "subjects.png", _by_subject(records, subjects), scores["ACC"], note)
    if records[0]["losses"]:
        uf1 = [metrics.score(pooled.true, guess, classes)["UF1"] for guess in pooled.by_epoch]
        pictures.curves(folder / "curves.png", [r["losses"] for r in records], uf1, note)
    return result


@dataclass(frozen=True)
class _Pooled:
    """Predictions of all folds: ids, true labels, and for each epoch the labels predicted after it."""

    ids: list[str]
    true: list[int]
    by_epoch: list[list[int]]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], epochs: int) -> _Pooled:
        def after(r: Mapping[str, Any], epoch: int) -> list[int]:
            found: list[int] = r["predicted"][min(epoch, len(r["predicted"]) - 1)]  # of a fold that stopped, its last
            return found

        return cls(
            [i for r in records for i in r["test"]],
            [label for r in records for label in r["labels"]],
            [[p for r in records for p in after(r, epoch)] for epoch in range(epochs)],
        )

    def of_dataset(self, name: str) -> tuple[list[int], list[int]]:
        rows = [n for n, sample in enumerate(self.ids) if database(sample) == name]
        return [self.true[n] for n in rows], [self.by_epoch[-1][n] for n in rows]


def _best(record: Mapping[str, Any]) -> list[int]:
    def correct(guess: list[int]) -> int:
        return sum(p == t for p, t in zip(guess, record["labels"], strict=True))

    return max(record["predicted"], key=correct)


def _predictions(records: Sequence[Mapping[str, Any]], classes: Sequence[str], subjects: Mapping[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "subject", "fold", "true", "predicted", *(f"p_{c}" for c in classes)])
    for r in records:
        rows = zip(r["test"], r["labels"], r["predicted"][-1], r["probabilities"], strict=True)
        for sample, label, guess, p in rows:
            writer.writerow([sample, subjects[sample], r["fold"], classes[label], classes[guess], *p])
    return out.getvalue()


def _by_subject(records: Sequence[Mapping[str, Any]], subjects: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Correct and all samples of each subject, in order."""
    counts: dict[str, tuple[int, int]] = {}
    for r in records:
        for sample, label, guess in zip(r["test"], r["labels"], r["predicted"][-1], strict=True):
            right, total = counts.get(subjects[sample], (0, 0))
            counts[subjects[sample]] = (right + (label == guess), total + 1)
    return dict(sorted(counts.items()))
