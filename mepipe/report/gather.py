"""A finished run folder, read whole and checked before anything of it is shown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError, model_validator

from mepipe.errors import MepipeError
from mepipe.train import metrics
from mepipe.train.results import LAST, ORACLE, Pooled
from mepipe.train.runfolder import read_json
from mepipe.train.runs import Run

_Kind = TypeVar("_Kind", bound=BaseModel)


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True)


class Scores(_Read):
    """Scores as `mepipe.train.metrics` gives them; UF1, UAR and confusion are not there of action units."""

    ACC: FiniteFloat
    F1: FiniteFloat
    UF1: FiniteFloat | None = None
    UAR: FiniteFloat | None = None
    per_class: dict[str, dict[str, FiniteFloat]]
    confusion: list[list[int]] | None = None
    note: str = ORACLE


class Metrics(Scores):
    """metrics.json. Runs of before early stopping do not say what is reported: it is the last epoch."""

    intervals: dict[str, tuple[FiniteFloat, FiniteFloat]] = {}
    reported: str = LAST
    weights: str
    folds: int
    samples: int
    oracle: Scores
    datasets: dict[str, Scores] = {}


class _Where(_Read):
    path: str
    key: str


class _Dataset(_Read):
    snapshot: str
    features: dict[str, _Where]


class Features(_Read):
    """features.json: what was read of each dataset, the class of each sample, and who was left out."""

    read: dict[str, _Dataset]
    samples: dict[str, str]
    excluded: dict[str, str] = {}
    dropped: dict[str, str] = {}


class Environment(_Read):
    """environment.json."""

    git_commit: str | None = None
    platform: str
    python: str
    versions: dict[str, str]


class _Config(_Read):
    model: str
    configuration: str
    datasets: list[str]
    protocol: str
    scheme: str
    classes: list[str]
    seed: int
    parameters: dict[str, Any]


class _Fold(_Read):
    test: list[str]
    labels: list[int | list[int]]
    predicted: list[list[int | list[int]]]
    losses: list[FiniteFloat]

    @model_validator(mode="after")
    def _is_of_its_test_samples(self) -> _Fold:
        if not self.predicted or {len(self.test)} != {len(self.labels), *map(len, self.predicted)}:
            msg = "not one label and one prediction for each test sample"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Prediction:
    """One line of predictions.csv. chance: of the class that was predicted, None for action units."""

    sample: str
    subject: str
    true: str
    predicted: str
    chance: float | None

    @property
    def right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True)
class Account:
    """A finished run."""

    run: Run
    metrics: Metrics
    features: Features
    environment: Environment
    predictions: list[Prediction]
    folds: list[_Fold]

    @property
    def name(self) -> str:
        return self.run.path.name

    @property
    def classes(self) -> list[str]:
        found: list[str] = self.run.config["classes"]
        return found

    @property
    def units(self) -> bool:
        """Whether action units were detected, each for itself."""
        return self.metrics.confusion is None

    @property
    def basis(self) -> str:
        """What stands beside every number: which epoch, whose weights."""
        return f"{self.metrics.reported}, {self.metrics.weights}"

    def encoded(self, label: str) -> Any:
        """A label as numbers: the class's place, or 1 and 0 of each action unit."""
        if not self.units:
            return self.classes.index(label)
        there = set(label.split("+")) - {""}
        if not there <= set(self.classes):
            raise ValueError(label)
        return [int(unit in there) for unit in self.classes]

    @cached_property
    def by_epoch(self) -> list[float]:
        """Macro F1 of the pooled test predictions after each epoch."""
        pooled = Pooled.of([fold.model_dump() for fold in self.folds])
        score = metrics.score_units if self.units else metrics.score
        return [score(pooled.true, guess, self.classes)["F1"] for guess in pooled.by_epoch]


def check(run: Run) -> None:
    """MepipeError where even what was asked cannot be read."""
    _checked(_Config, run.config, run.path / "config.json")


def account(run: Run) -> Account:
    """All of a finished run; MepipeError names the file that is not as trainings leave it."""
    folder = run.path
    if run.metrics is None:
        msg = (
            f"{folder} is not finished: {run.folds} folds are done. "
            f"Run its command again with --run {folder}, then report it."
        )
        raise MepipeError(msg)
    check(run)
    found = Account(
        run,
        _checked(Metrics, run.metrics, folder / "metrics.json"),
        _checked(Features, read_json(folder / "features.json"), folder / "features.json"),
        _checked(Environment, read_json(folder / "environment.json"), folder / "environment.json"),
        _predictions(folder / "predictions.csv", "confusion" not in run.metrics),
        [_checked(_Fold, read_json(path), path) for path in sorted((folder / "folds").glob("[!.]*.json"))],
    )
    _compare(found)
    return found


def _checked(model: type[_Kind], content: Any, path: Path) -> _Kind:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        msg = f"{path}: is not as mepipe train leaves it ({where}: {first['msg']}). Run its command again."
        raise MepipeError(msg) from None


def _predictions(path: Path, units: bool) -> list[Prediction]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            Prediction(
                row["id"],
                row["subject"],
                row["true"],
                row["predicted"],
                None if units else float(row[f"p_{row['predicted']}"]),
            )
            for row in rows
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        msg = f"{path}: cannot be read ({type(error).__name__}: {error}). Run its command again."
        raise MepipeError(msg) from None


def _compare(found: Account) -> None:
    """The scores have to be those of the predictions: a report that shows both must not contradict itself."""
    path = found.run.path
    try:
        true, guessed = ([found.encoded(getattr(p, side)) for p in found.predictions] for side in ("true", "predicted"))
        score: Any = metrics.score_units if found.units else metrics.score
        again = score(true, guessed, found.classes)
    except (ValueError, IndexError) as error:
        msg = f"{path}/predictions.csv: has labels that config.json does not ({error}). Run its command again."
        raise MepipeError(msg) from None
    if not _same(again, found.metrics):
        msg = f"{path}: metrics.json is not of predictions.csv. Run its command again, which pools the folds anew."
        raise MepipeError(msg)


def _same(again: dict[str, Any], told: Metrics) -> bool:
    names: Sequence[str] = [n for n in ("ACC", "F1", "UF1", "UAR") if n in again]
    alike = np.allclose([again[n] for n in names], [getattr(told, n) or 0.0 for n in names], atol=1e-9)
    sizes = {len(row) for row in told.oracle.confusion or []} | {len(told.oracle.confusion or again["per_class"])}
    return alike and again.get("confusion") == told.confusion and sizes == {len(again["per_class"])}
