"""A training from the store to the run folder: what was asked for, resolved; then every fold that is not there yet."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mepipe import store
from mepipe.errors import UsageError
from mepipe.models import backbones, mpt
from mepipe.train import protocols, runfolder, schemes, selection
from mepipe.train.folds import Samples, Schedule, reproducible, train_fold


@dataclass(frozen=True)
class Job:
    """A resolved training. `config` is everything that the result depends on besides features and versions."""

    model: str
    selection: selection.Selection
    folds: list[protocols.Fold]
    config: dict[str, Any]
    schedule: Schedule
    seed: int
    device: torch.device
    weights: str
    load: Callable[[], Samples]
    prepare: Callable[[], Callable[[], nn.Module]]

    @property
    def name(self) -> str:
        """What the run folder is called when nobody names it: the same job, the same name, so that it is resumed."""
        identity = runfolder.to_json([self.config, self.selection.record(), runfolder.versions()])
        return f"{self.model}-{self.selection.dataset}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def mpt_job(
    store_url: str | Path,
    dataset: str,
    *,
    protocol: str = "loso",
    classes: str = "3",
    backbone: str = "vit-b16",
    weights: str | Path,
    seed: int = 0,
    recipe: str | None = None,
    device: str = "auto",
    changes: dict[str, Any] | None = None,
) -> Job:
    """MPT on a dataset of a store. `weights`: a checkpoint, a folder that holds it, or "random"; `changes`: fields of
    the backbone's `MPTConfig`. MepipeError or UsageError for whatever is not there, before anything is computed.
    """
    chosen = selection.select(
        store.open(store_url), dataset, mpt.FEATURES, schemes.scheme(classes, dataset), "mpt", recipe
    )
    trait = backbones.backbone(backbone)
    file = None if weights == backbones.RANDOM else backbones.weights_file(backbone, Path(weights))
    model = replace(mpt.CONFIGURATIONS[backbone], **(changes or {}))
    where = _device(device)
    config = {
        "model": "mpt",
        "protocol": protocol,
        "scheme": chosen.scheme.name,
        "classes": list(chosen.scheme.classes),
        "backbone": backbone,
        "weights": {"file": file.name, "sha256": backbones.digest(file)} if file else backbones.RANDOM,
        "configuration": asdict(model),
        "recipe": recipe,
        "seed": seed,
        "device": where.type,
    }

    def load() -> Samples:
        images, clips = (chosen.features[node] for node in mpt.FEATURES)
        ids = tuple(chosen.labels)
        arrays = mpt.inputs((images[i] for i in ids), (clips[i] for i in ids), trait.size, model.motion_size)
        return Samples(ids, torch.tensor(list(chosen.labels.values())), arrays)

    def prepare() -> Callable[[], nn.Module]:
        trunk = backbones.build(backbone, file, seed)  # read once; every fold adapts a copy of the same
        return lambda: mpt.MPT(copy.deepcopy(trunk), len(chosen.scheme.classes), model)

    return Job(
        "mpt",
        chosen,
        protocols.folds(protocol, chosen.subjects, chosen.splits, chosen.clips),
        config,
        Schedule(model.epochs, model.batch, model.lr, trait.threads),
        seed,
        where,
        f"{backbone}, {'random weights' if file is None else file.name}",
        load,
        prepare,
    )


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        msg = "No CUDA device here that torch can use. Say --device cpu, or see: mepipe doctor"
        raise UsageError(msg)
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def run(job: Job, folder: Path, on_epoch: Callable[[str], object] = lambda fold: None) -> dict[str, Any]:
    """Train the folds that the folder lacks, and pool all of them; returns the metrics. See `runfolder`.

    `on_epoch` is called with the fold's name after each epoch, also for the epochs of folds that were there.
    """
    runfolder.begin(folder, job.config, job.selection.record())
    records = {fold.name: runfolder.read_fold(folder, fold, job.seed) for fold in job.folds}
    lacking = [fold for fold in job.folds if records[fold.name] is None]
    for _ in range(job.schedule.epochs * (len(job.folds) - len(lacking))):
        on_epoch("kept")
    if lacking:
        _train(job, folder, lacking, records, on_epoch)
    whole: Iterable[dict[str, Any] | None] = (records[fold.name] for fold in job.folds)
    return runfolder.finish(
        folder, [r for r in whole if r], job.selection.scheme.classes, job.selection.subjects, job.weights
    )


def _train(
    job: Job,
    folder: Path,
    lacking: list[protocols.Fold],
    records: dict[str, dict[str, Any] | None],
    on_epoch: Callable[[str], object],
) -> None:
    with reproducible(job.seed, job.device, threads=1):  # sums of other lengths would round otherwise
        samples, build = job.load(), job.prepare()
    for fold in lacking:

        def done(name: str = fold.name) -> object:
            return on_epoch(name)

        record = train_fold(fold, samples, build, job.schedule, job.seed, job.device, done)
        runfolder.write_fold(folder, fold, record)
        records[fold.name] = record
