"""What `mepipe explain` writes into a run folder, under explain/."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from mepipe.explain import draw, embedded, maps, project
from mepipe.explain.rebuild import Tested, Trained
from mepipe.models.similarity import Matrix, of_pairs
from mepipe.store import Store, files

OWN_NETWORK = "Each sample by the network that was not trained on its subject"
Tick = Callable[[], object]


def samples(trained: Trained, store: Store, ids: Sequence[str]) -> list[Path]:
    """attention/<sample>.png and gradcam/<sample>.png, as far as the model has them, of these samples."""
    written = []
    folds = {trained.fold_of(sample).name for sample in ids}
    for tested in trained.tested(folds):
        for sample in (s for s in ids if s in tested.fold.test):
            attention, evidence = looked_at(trained, store, tested, sample)
            title = f"{_said(trained, tested, sample)}\n{_note(trained, tested)}"
            for folder, what, found in (("attention", "Attention", attention), ("gradcam", "Grad-CAM", evidence)):
                if found:
                    path = trained.path / "explain" / folder / f"{quote(sample, safe=' ')}.png"
                    written.append(draw.maps(path, f"{what}: {title}", found))
    return written


def overview(trained: Trained, store: Store, count: int, tick: Tick = lambda: None) -> list[Path]:
    """embeddings.npz, tsne.png, similarity.png, and samples.png with `count` right and wrong ones, as far as there is
    something to show.
    """
    folder, chosen, found, rows = trained.path / "explain", _telling(trained, count), _Gathered(), {}
    for tested in trained.tested():
        found.add(tested, trained.job.selection.classes)
        for sample in (s for s in chosen if s in tested.fold.test):
            rows[sample] = (_said(trained, tested, sample, "\n"), *looked_at(trained, store, tested, sample))
        tick()
    planes = _planes(trained, found.arrays())
    return [
        *_sheet(folder / "samples.png", trained, [rows[s] for s in chosen if s in rows]),
        *_draw_planes(folder / "tsne.png", trained, planes),
        *_similar(folder / "similarity.png", trained, found.matrices),
        _write(folder / "embeddings.npz", trained, found, planes),
    ]


@dataclass
class _Gathered:
    """What the networks of all folds say of their own test samples."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    matrices: dict[str, Matrix] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, tested: Tested, classes: Sequence[str]) -> None:
        """A fold. Batches of it one by one: a test side may be a whole database."""
        features = []
        for labels, inputs in tested.batches():
            self._sum(tested.learner.similarity(classes, labels, *inputs))
            if (represented := tested.learner.represent(*inputs)) is not None:
                features.append(represented.float().cpu())
        labels = tested.labels.int()
        if features and features[0].ndim == 2 and labels.ndim == 1:
            self._sum({"features of samples": of_pairs(torch.cat(features), labels, classes)})
        self._extend("id", tested.fold.test)
        self._extend("fold", [tested.fold.name] * len(labels))
        self._extend("label", labels.tolist())
        self._extend("logits", tested.logits.float().cpu().tolist())
        if features:
            self._extend("features", torch.cat(features).tolist())

    def _sum(self, more: Mapping[str, Matrix]) -> None:
        self.matrices |= {name: self.matrices[name] + m if name in self.matrices else m for name, m in more.items()}

    def _extend(self, name: str, values: Sequence[Any]) -> None:
        self.columns.setdefault(name, []).extend(values)

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, a row for each sample; float32 where they are numbers."""
        whole = {name: np.asarray(values) for name, values in self.columns.items()}
        return {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in whole.items()}


def lacking(trained: Trained, store: Store, sample: str | None = None) -> list[str]:
    """Commands that put into the store what frozen encoders were given: pictures that maps lie on, or are made of."""
    job, some = trained.job, sample or trained.folds[0].test[0]
    recipe = job.config["recipe"] or job.model.recipe(job.parameters)
    return embedded.commands(store, job.selection, recipe, some)


def looked_at(
    trained: Trained, store: Store, tested: Tested, sample: str
) -> tuple[list[tuple[draw.Seen, maps.Map]], list[tuple[draw.Seen, maps.Map]]]:
    """Attention, and Grad-CAM, of one sample: maps, each with the picture that it lies on."""
    inputs, nodes = tested.inputs(sample), trained.job.model.features(trained.job.parameters)
    branches = embedded.branches(store, trained.job.selection, nodes, sample)
    wanted = _wanted(trained, tested, tested.fold.test.index(sample))
    whole = [b for b in branches if b is not None and b.ends]
    if whole and len(whole) == len(inputs):
        return _through(whole, tested, wanted)
    what = _seen(tested.learner.seen(*inputs), next((b for b in branches if b is not None), None))
    attention = maps.attention(tested.learner, inputs)
    evidence = maps.of_logits(partial(_evidence, tested, inputs), wanted)
    return [(what, one) for one in attention], [(what, one) for one in evidence]


def _evidence(tested: Tested, inputs: Sequence[Tensor], target: Tensor) -> Tensor | None:
    return maps.evidence(tested.learner, inputs, target.to(tested.logits.device))


def _through(
    branches: Sequence[embedded.Branch], tested: Tested, wanted: Sequence[tuple[int, str]]
) -> tuple[list[tuple[draw.Seen, maps.Map]], list[tuple[draw.Seen, maps.Map]]]:
    """Of a model that reads embeddings: through the frozen encoders that made them."""
    pictures = [draw.Seen(branch.node, branch.seen()[None]) for branch in branches]
    attention = [(what, branch.attention()) for what, branch in zip(pictures, branches, strict=True)]
    learner, evidence = tested.learner.cpu(), []
    for index, title in wanted:
        found = embedded.evidence(branches, learner, index)
        evidence += [
            (what, maps.Map(f"{branch.node}: {title}", "Grad-CAM", values.numpy()))
            for what, branch, values in zip(pictures, branches, found, strict=True)
        ]
    tested.learner.to(tested.logits.device)
    return attention, evidence


def _seen(values: Tensor | None, branch: embedded.Branch | None) -> draw.Seen:
    if values is not None:
        return draw.seen("input", values[0].float().cpu().numpy())
    if branch is not None:
        return draw.Seen(f"picture of {branch.node}", branch.seen()[None])
    return draw.blank("picture not in the store")


def _wanted(trained: Trained, tested: Tested, place: int) -> list[tuple[int, str]]:
    """Which logits evidence is shown of: that of the predicted class, and of the true one; or of every action unit."""
    names, p = trained.job.selection.classes, tested.record["probabilities"][place]
    if tested.labels.ndim > 1:
        there = tested.record["labels"][place]
        first = sorted(range(len(names)), key=lambda n: -max(there[n], p[n]))
        return [(n, f"for {names[n]}, {'there' if there[n] else 'not there'} (p {p[n]:.2f})") for n in first]
    guess, true = tested.record["predicted"][-1][place], tested.record["labels"][place]
    both = [(guess, f"for {names[guess]}, {'right' if guess == true else 'wrong'} (p {p[guess]:.2f})")]
    return both if guess == true else [*both, (true, f"for {names[true]}, true (p {p[true]:.2f})")]


def _said(trained: Trained, tested: Tested, sample: str, between: str = ", ") -> str:
    place, chosen = tested.fold.test.index(sample), trained.job.selection
    guess, true = tested.record["predicted"][-1][place], tested.record["labels"][place]
    words = [chosen.names(label if isinstance(label, int) else tuple(label)) or "none" for label in (true, guess)]
    return f"{sample}{between}is {words[0]}{between}recognised as {words[1]}"


def _note(trained: Trained, tested: Tested | None = None) -> str:
    job = trained.job
    by = f"by the network of fold {tested.fold.name}, not trained on its subject" if tested else OWN_NETWORK.lower()
    return f"{job.model.name} ({job.config['configuration']}), {'+'.join(job.config['datasets'])}, {job.weights}: {by}"


def _telling(trained: Trained, count: int) -> list[str]:
    """Some samples that are right and some that are wrong, the surest of each class in turn."""
    ranked: dict[bool, dict[str, list[tuple[float, str]]]] = {True: {}, False: {}}
    for record in trained.records.values():
        told = zip(record["test"], record["labels"], record["predicted"][-1], record["probabilities"], strict=True)
        for sample, true, guess, p in told:
            sure = float(np.mean([abs(x - 0.5) for x in p])) if isinstance(true, list) else max(p)
            ranked[true == guess].setdefault(str(true), []).append((-sure, sample))
    chosen = []
    for right in (True, False):
        classes = [sorted(found) for _, found in sorted(ranked[right].items())]
        turns = [one[turn] for turn in range(count) for one in classes if turn < len(one)]
        chosen += [sample for _, sample in turns[:count]]
    return chosen


def _sheet(path: Path, trained: Trained, rows: Sequence[tuple[str, Any, Any]]) -> list[Path]:
    shown = []
    for text, attention, evidence in rows:
        units = trained.job.selection.units
        pairs = [*attention[: 1 if units else 2], *evidence[: 3 if units else 2]]
        if pairs:
            shown.append((text, pairs[0][0], [(what, one) for what, one in pairs]))
    return [draw.sheet(path, f"Right, then wrong\n{_note(trained)}", shown)] if shown else []


def _planes(trained: Trained, arrays: Mapping[str, np.ndarray]) -> list[project.Plane]:
    names, labels, folds = trained.job.selection.classes, arrays["label"], arrays["fold"].tolist()
    features = arrays.get("features")
    if len(labels) < project.LEAST:
        return []
    make = partial(project.plane, folds=folds, seed=trained.job.how.seed)
    if labels.ndim > 1:
        if features is None or features.ndim != 3:
            return []
        both = ("without", "with")
        return [make(f"features of {name}", features[:, n], labels[:, n], both) for n, name in enumerate(names)]
    of_features = [] if features is None else [make("what the last layer judges by", features, labels, names)]
    return [*of_features, make("logits: axes mean the same in all folds", arrays["logits"], labels, names)]


def _draw_planes(path: Path, trained: Trained, planes: Sequence[project.Plane]) -> list[Path]:
    if not planes:
        return []
    note = (
        "Folds have networks of their own, whose features have axes of their own: samples may lie apart for that alone."
    )
    return [draw.planes(path, f"t-SNE of test samples. {_note(trained)}", note, planes)]


def _similar(path: Path, trained: Trained, found: Mapping[str, Matrix]) -> list[Path]:
    title = f"Cosines within each fold's network, averaged over folds\n{_note(trained)}"
    return [draw.matrices(path, title, found)] if found else []


def _write(path: Path, trained: Trained, found: _Gathered, planes: Sequence[project.Plane]) -> Path:
    """All that the pictures show, as plain arrays: numpy.load(path) reads them without pickle."""
    everything = found.arrays() | {"classes": np.asarray(trained.job.selection.classes)}
    everything |= {f"tsne: {one.title}": one.places for one in planes}
    everything |= {f"similarity: {name}": matrix.mean for name, matrix in found.matrices.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **everything)
    files.make_folder(path.parent)
    files.write(path, content.getvalue())
    return path
