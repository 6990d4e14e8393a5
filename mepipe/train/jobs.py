"""A training from the store to the run folder: what was asked for, resolved; then every fold that is not there yet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mepipe import store, weights
from mepipe.errors import UsageError
from mepipe.models import backbones, configs, declare, prompts
from mepipe.models.learner import Learner, Schedule
from mepipe.train import protocols, results, runfolder, selection
from mepipe.train.folds import How, Samples, Stopping

FITTED = Schedule(epochs=1, batch=1, lr=1.0)  # of what is not trained by steps: progress counts its folds


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    configuration, changes: see `models.configs`. features: nodes to read instead of the model's. weights: a checkpoint,
    a folder that holds it, or "random", for models that begin with one. recipe: take the features of this recipe only.
    units: the set of action units that a model of these is asked for, instead of classes.
    hold_out: share of the training subjects by whom to stop early, 0 for a fixed number of epochs.
    """

    model: str
    datasets: tuple[str, ...]
    protocol: str = "loso"
    classes: str = "3"
    units: str = "micro-au"
    configuration: str = configs.DEFAULT
    changes: dict[str, Any] | None = None
    features: tuple[str, ...] = ()
    weights: str = ""
    recipe: str | None = None
    seed: int = 0
    device: str = "auto"
    hold_out: float = 0.0
    accumulate: int = 1
    bf16: bool = False
    compiled: bool = False
    checkpoints: bool = False


@dataclass(frozen=True)
class Job:
    """A resolved training. `config` is everything that the result depends on besides features and versions."""

    model: declare.Model
    parameters: Any
    selection: selection.Selection
    folds: list[protocols.Fold]
    config: dict[str, Any]
    how: How
    weights: str
    files: dict[str, Path]
    checkpoints: bool

    @property
    def name(self) -> str:
        """What the run folder is called when nobody names it: the same job, the same name, so that it is resumed."""
        identity = runfolder.to_json([self.config, self.selection.record(), runfolder.versions()])
        where = "+".join(self.selection.datasets)
        return f"{self.model.name}-{where}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    def samples(self) -> Samples:
        """What it trains on, read from the store."""
        chosen, ids = self.selection, tuple(self.selection.labels)
        # by the model's own names for what it reads, whatever was named instead
        read: dict[str, Any] = dict(zip(self.model.features(self.parameters), chosen.features.values(), strict=True))
        inputs = self.model.inputs(self.parameters, read | ({"aus": chosen.aus} if self.model.aus else {}), ids)
        labels = torch.tensor(list(chosen.labels.values()), dtype=torch.float32 if chosen.units else torch.int64)
        return Samples(ids, labels, inputs, tuple(chosen.subjects[i] for i in ids))

    def build(self) -> Callable[[], Learner]:
        """What makes a network for a fold."""
        return self.model.build(self.parameters, self.selection.classes, self.files, self.how.seed)


def resolve(request: Request, store_url: str | Path) -> Job:
    """MepipeError or UsageError for whatever is not there, before anything is computed or written."""
    parameters = configs.choose(request.model, request.configuration, request.changes)
    model = declare.get(request.model)
    wanted = model.features(parameters)
    nodes = request.features or wanted
    if len(nodes) != len(wanted):
        msg = f"{model.name} reads {', '.join(wanted)}: name as many features instead, in this order (--feature)."
        raise UsageError(msg)
    chosen = selection.select(
        store.open(store_url),
        request.datasets,
        nodes,
        request.classes,
        model.recipe(parameters),
        request.recipe,
        request.units if model.units else "",
    )
    names = model.weights(parameters)
    files = {} if request.weights == backbones.RANDOM else _files(names, Path(request.weights))
    device = _device(request.device)
    config = {
        "model": model.name,
        "configuration": request.configuration,
        "parameters": parameters.model_dump(mode="json"),
        "datasets": list(request.datasets),
        "protocol": request.protocol,
        "scheme": chosen.scheme,
        "classes": list(chosen.classes),
        "weights": {n: {"file": f.name, "sha256": backbones.digest(f)} for n, f in files.items()}
        or (backbones.RANDOM if names else None),
        "texts": prompts.digests(*model.texts),
        "recipe": request.recipe,
        "seed": request.seed,
        "device": device.type,
        "hold_out": request.hold_out,
        "accumulate": request.accumulate,
        "bf16": request.bf16,
        "compiled": request.compiled,
    }
    schedule = FITTED if model.estimator else replace(model.schedule(parameters), accumulate=request.accumulate)
    return Job(
        model,
        parameters,
        chosen,
        protocols.folds(request.protocol, chosen.subjects, chosen.splits, chosen.clips),
        config,
        How(
            schedule,
            request.seed,
            device,
            Stopping(request.hold_out) if request.hold_out else None,
            request.bf16 and device.type == "cuda",
            request.compiled,
        ),
        _from(names, files),
        files,
        request.checkpoints,
    )


def _files(names: Sequence[str], where: Path) -> dict[str, Path]:
    """The files of weights by name: `where` is one, or a folder of them."""
    if len(names) == 1 and where.is_file():
        return {names[0]: where}
    return {n: weights.locate(n) if n in weights.WEIGHTS else backbones.weights_file(n, where) for n in names}


def _from(names: Sequence[str], files: Mapping[str, Path]) -> str:
    """What it began with, for a person: beside every number that is shown."""
    if not names:
        return "from scratch"
    return ", ".join([*names, *(file.name for file in files.values())] if files else [*names, "random weights"])


def _device(name: str) -> torch.device:
    # asked so, CUDA is not started here, and folds can be trained in processes that are forked
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if name == "cuda" and not torch.cuda.is_available():
        msg = "No CUDA device here that torch can use. Say --device cpu, or see: mepipe doctor"
        raise UsageError(msg)
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def run(
    job: Job, folder: Path, processes: int | None = None, on_epoch: Callable[[str, int], object] = lambda fold, n: None
) -> dict[str, Any]:
    """Train the folds that the folder lacks, and pool all of them; returns the metrics. See `runfolder`.

    processes: how many folds are trained at once; by default as many as there are cores, on CUDA one. The result does
    not depend on it. `on_epoch` is called with a fold's name and how many epochs more are done, also for the epochs of
    folds that were there.
    """
    from mepipe.train import loops

    runfolder.begin(folder, job.config, job.selection.record())
    there = {fold.name: runfolder.read_fold(folder, fold, job.how.seed) for fold in job.folds}
    lacking = [fold for fold in job.folds if there[fold.name] is None]
    if len(lacking) < len(job.folds):
        on_epoch("kept", job.how.schedule.epochs * (len(job.folds) - len(lacking)))
    if lacking:
        loops.train(job, lacking, folder, processes, on_epoch)
        there |= {fold.name: runfolder.read_fold(folder, fold, job.how.seed) for fold in lacking}
    records = [found for found in there.values() if found is not None]
    reported = results.HELD if job.how.stopping else results.LAST
    title = f"{job.model.name} ({job.config['configuration']}), {'+'.join(job.selection.datasets)}"
    return results.finish(folder, records, job.selection, title, job.weights, reported, job.model.also)
