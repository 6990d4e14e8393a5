"""A run as it was when it ended: its job, found again, and each fold's network with what training made of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mepipe.errors import MepipeError, UsageError
from mepipe.models import backbones, configs, declare
from mepipe.models.learner import Learner
from mepipe.train import jobs, runfolder, runs
from mepipe.train.folds import How, Samples, chances, reproducible
from mepipe.train.protocols import Fold

# Of probabilities: other threads, another device and folds trained as one round otherwise, at most so much (measured:
# nothing on the same CPU, 3e-7 with other threads, 6e-8 of stacked folds); a network that is not the trained one is off
# by tenths. Trained with bfloat16: its rounding.
TOLERANCE, TOLERANCE_BF16 = 1e-4, 0.03


@dataclass(frozen=True)
class Tested:
    """A fold's network, and what it says of the fold's test samples, in their order: logits [N, ...].

    rows: where these stand among the samples.
    """

    fold: Fold
    record: Mapping[str, Any]
    learner: Learner
    logits: Tensor
    samples: Samples
    rows: Tensor
    how: How

    @property
    def labels(self) -> Tensor:
        """Of the test samples, on the CPU."""
        return self.samples.labels[self.rows]

    def inputs(self, sample: str) -> tuple[Tensor, ...]:
        """What the network is given of a sample, [1, ...] each."""
        return self.samples.batch(self.rows[[self.fold.test.index(sample)]], self.how.device)

    def batches(self) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
        """Labels and inputs, of as many samples as training takes at a time."""
        for part in self.rows.split(self.how.schedule.batch):
            yield self.samples.labels[part].to(self.how.device), self.samples.batch(part, self.how.device)


@dataclass(frozen=True)
class Trained:
    """A run with checkpoints. records: of its folds, by name."""

    path: Path
    job: jobs.Job
    records: dict[str, dict[str, Any]]

    @property
    def folds(self) -> list[Fold]:
        """Those that are done."""
        return [fold for fold in self.job.folds if fold.name in self.records]

    def fold_of(self, sample: str) -> Fold:
        """The fold that a sample was tested in; UsageError where none did."""
        for fold in self.folds:
            if sample in fold.test:
                return fold
        known = [s for fold in self.folds for s in fold.test]
        msg = f"No fold of {self.path} was tested on {sample!r}. It was tested on: {', '.join(known[:5])}, ..."
        raise UsageError(msg)

    def tested(self, only: Collection[str] | None = None) -> Iterator[Tested]:
        """Folds one after another, each by its own network: all, or those of these names. See `_check`."""
        folds = [fold for fold in self.folds if only is None or fold.name in only]
        wanted = {sample for fold in folds for sample in fold.test}
        chosen = self.job.selection
        labels = {sample: label for sample, label in chosen.labels.items() if sample in wanted}
        job = replace(self.job, selection=replace(chosen, labels=labels))
        with reproducible(job.how.seed, job.how.device):
            samples, build = job.samples(), job.build()
        for fold in folds:
            with reproducible(fold.seed(job.how.seed), job.how.device):
                learner = build()
                runfolder.read_checkpoint(self.path, fold, learner)
                yield self._tested(fold, samples, learner.to(job.how.device).eval())

    @torch.no_grad()
    def _tested(self, fold: Fold, samples: Samples, learner: Learner) -> Tested:
        rows, how = samples.rows(fold.test), self.job.how
        parts = rows.split(how.schedule.batch)
        logits = torch.cat([learner(*samples.batch(part, how.device)) for part in parts])
        self._check(fold, chances(logits, samples.labels))
        return Tested(fold, self.records[fold.name], learner, logits, samples, rows, how)

    def _check(self, fold: Fold, found: Tensor) -> None:
        """MepipeError where the network does not say what the trained one said: what it showed would be of another."""
        said = torch.tensor(self.records[fold.name]["probabilities"])
        away = float((found - said).abs().max())
        if not away <= (TOLERANCE_BF16 if self.job.config["bf16"] else TOLERANCE):
            msg = (
                f"{self.path}: fold {fold.name}, built again, gives other probabilities than the run recorded (off by "
                f"up to {away:.2g}). Its checkpoint, the features or the versions of libraries "
                f"({_versions(self.path)}) are not those of the training. Train it again: "
                f"{command(self.path, self.job.config)}"
            )
            raise MepipeError(msg)


def _versions(path: Path) -> str:
    then = runfolder.read_json(path / "environment.json")["versions"]
    return "; ".join(runfolder.differences(then, runfolder.versions())) or "which are the same"


def rebuild(path: Path, store: str | Path, weights: str) -> Trained:
    """The run in a folder. UsageError where its model has no network, MepipeError where it has no checkpoints, or where
    store, weights and versions do not give the same job again.
    """
    config = runs.read(path).config
    model = declare.get(config["model"])
    if model.estimator is not None:
        msg = f"{model.name} is fitted by scikit-learn: there is no network whose attention or features could be shown."
        raise UsageError(msg)
    if not (path / "checkpoints").is_dir():
        msg = f"{path} kept no networks, so there is nothing to ask. Train it again: {command(path, config)}"
        raise MepipeError(msg)
    features = runfolder.read_json(path / "features.json")
    job = jobs.resolve(_request(config, features, weights), store)
    if found := _otherwise(config, features, job):
        msg = f"{path}: its training cannot be set up again: {'; '.join(found)}. Name its --store and --weights."
        raise MepipeError(msg)
    there = {fold.name: runfolder.read_fold(path, fold, job.how.seed) for fold in job.folds}
    done = {name: record for name, record in there.items() if record is not None}
    if not done:
        msg = f"{path}: no fold is done. Go on with it: mepipe train {model.name} ... --run {path}"
        raise MepipeError(msg)
    return Trained(path, job, done)


def _otherwise(config: Mapping[str, Any], features: Mapping[str, Any], job: jobs.Job) -> list[str]:
    """What a job is asked otherwise than the run was. `_check` finds out whether a new parameter or device matters."""
    now = json.loads(runfolder.to_json(job.config))
    new = {"device": config["device"], "parameters": config["parameters"]}
    same = {name: value for name, value in now["parameters"].items() if name in config["parameters"]}
    return [
        *runfolder.differences(config, {**now, **new}),
        *runfolder.differences(config["parameters"], same),
        *runfolder.differences(features, json.loads(runfolder.to_json(job.selection.record()))),
    ]


def _request(config: Mapping[str, Any], features: Mapping[str, Any], weights: str) -> jobs.Request:
    model = declare.get(config["model"])
    scheme, random = config["scheme"].split(" ")[0], config["weights"] == backbones.RANDOM
    return jobs.Request(
        model.name,
        tuple(config["datasets"]),
        config["protocol"],
        **({"units": scheme} if model.units else {"classes": scheme}),
        configuration=config["configuration"],
        changes=config["parameters"],
        features=_nodes(model, config, features),
        weights=backbones.RANDOM if random else weights,
        recipe=config["recipe"],
        seed=config["seed"],
        device=config["device"] if config["device"] == "cpu" else "auto",
        **{name: config[name] for name in ("hold_out", "accumulate", "bf16", "compiled")},
    )


def _nodes(model: declare.Model, config: Mapping[str, Any], features: Mapping[str, Any]) -> tuple[str, ...]:
    """What it read, in the model's order; only of one is it known where others than the model's were named."""
    read = tuple(next(iter(features["read"].values()))["features"])
    own = model.features(configs.choose(model.name, config["configuration"], config["parameters"]))
    if set(read) == set(own):
        return own
    if len(read) == 1:
        return read
    msg = f"This run read {', '.join(read)} instead of {', '.join(own)}, and did not keep which instead of which."
    raise MepipeError(msg)


def command(path: Path, config: Mapping[str, Any]) -> str:
    """What trains this run again, in another folder, and keeps its networks."""
    known = configs.configurations(config["model"])[config["configuration"]].model_dump(mode="json")
    changed = {name: value for name, value in config["parameters"].items() if value != known.get(name)}
    model = declare.get(config["model"])
    said: list[tuple[str, Any]] = [
        *(("dataset", name) for name in config["datasets"]),
        ("protocol", config["protocol"]),
        ("units" if model.units else "classes", config["scheme"].split(" ")[0]),
        ("config", config["configuration"]),
        *changed.items(),
        ("seed", config["seed"]),
        *([("weights", "random")] if config["weights"] == backbones.RANDOM else []),
        *((name, config[name]) for name, usual in (("hold_out", 0.0), ("accumulate", 1)) if config[name] != usual),
    ]
    words = [f"--{name.replace('_', '-')} {_value(value)}" for name, value in said if not isinstance(value, bool)]
    words += [f"--{'' if v else 'no-'}{n.replace('_', '-')}" for n, v in said if isinstance(v, bool)]
    words += [f"--recipe {config['recipe']}"] if config["recipe"] else []
    words += [flag for flag, asked in (("--bf16", config["bf16"]), ("--compile", config["compiled"])) if asked]
    return " ".join(["mepipe train", config["model"], *words, "--checkpoints", "--run", shlex.quote(f"{path}-kept")])


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
