"""`mepipe train`: train and evaluate a model from the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mepipe.train.jobs import Job


@click.group("train", epilog="mepipe train mpt --dataset demo --backbone tiny --weights random")
def command() -> None:
    """Train and evaluate a model from the store."""


@command.command("mpt", epilog="mepipe train mpt --dataset samm --protocol loso --classes 3")
@click.option("--dataset", required=True, help="Which dataset's features to read.")
@click.option("--protocol", default="loso", show_default=True, help="Who trains on whom.")
@click.option("--classes", default="3", show_default=True, help="The label scheme, by number of classes or name.")
@click.option("--store", help="The store, a folder.  [default: cache/features.zarr]")
@click.option("--feature-recipe", help="Take the features of this recipe only.  [default: any]")
@click.option("--backbone", default="vit-b16", show_default=True, help="vit-b16, or tiny (for trying out).")
@click.option("--weights", help="Checkpoint file, or its folder [default: cache/weights], or: random.")
@click.option("--prompts", type=click.IntRange(0, 64), help="Motion prompts.  [default: 5]")
@click.option("--adapter", type=click.Choice(["group", "shared", "none"]), help="[default: group]")
@click.option("--epochs", type=click.IntRange(1), help="[default: 50; tiny: 12]")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Adam's rate.  [default: 3e-4; tiny: 3e-3]")
@click.option("--batch", type=click.IntRange(1), help="[default: 16]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]))
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    help="Run folder, new or to be resumed.  [default: in runs, named by what the result depends on]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def mpt(
    store: str | None,
    dataset: str,
    protocol: str,
    classes: str,
    feature_recipe: str | None,
    backbone: str,
    weights: str | None,
    seed: int,
    device: str,
    folder: Path | None,
    as_json: bool,
    **changes: Any,
) -> None:
    """Motion Prompt Tuning: rank-pooled image and magnified frames into an adapted vision transformer.

    Reads the features of `mepipe extract --recipe mpt`, trains every fold that the run folder lacks, and prints the
    scores of the last epoch, pooled over folds.
    """
    from mepipe import settings
    from mepipe.train import jobs

    config = settings.load()
    job = jobs.mpt_job(
        store or config.store,
        dataset,
        protocol=protocol,
        classes=classes,
        backbone=backbone,
        weights=weights or config.weights,
        seed=seed,
        recipe=feature_recipe,
        device=device,
        changes={name: value for name, value in changes.items() if value is not None},
    )
    _train(job, folder or config.runs / job.name, as_json)


def _train(job: Job, folder: Path, as_json: bool) -> None:
    from tqdm import tqdm

    from mepipe.train import jobs, runfolder

    click.echo(_plan(job, folder), err=as_json)
    total = len(job.folds) * job.schedule.epochs
    with tqdm(total=total, unit="epoch", disable=None) as bar:

        def on_epoch(fold: str) -> None:
            bar.set_description(f"fold {fold}", refresh=False)
            bar.update()

        metrics = jobs.run(job, folder, on_epoch)
    if as_json:
        click.echo(runfolder.to_json({"run": str(folder), **metrics}), nl=False)
    else:
        click.echo(_table(job, metrics))
        click.echo(f"\nRun folder: {folder}")


def _plan(job: Job, folder: Path) -> str:
    chosen = job.selection
    counts = [list(chosen.labels.values()).count(label) for label in range(len(chosen.scheme.classes))]
    lines = [
        *(f"feature   {feature.path}" for feature in chosen.features.values()),
        f"protocol  {job.config['protocol']}: {len(job.folds)} folds, {len(set(chosen.subjects.values()))} subjects",
        f"classes   {', '.join(f'{c} {n}' for c, n in zip(chosen.scheme.classes, counts, strict=True))}",
        f"model     {job.model}, {job.weights}; {job.schedule.epochs} epochs, seed {job.seed}, {job.device.type}",
        f"run       {folder}",
    ]
    if chosen.dropped:
        lines.append(f"left out  {len(chosen.dropped)} samples whose emotion has no class in {chosen.scheme.name}")
    lines += [f"excluded  {sample}: {why}" for sample, why in chosen.excluded.items()]
    return "\n".join(lines)


def _table(job: Job, metrics: dict[str, Any]) -> str:
    names = ("ACC", "F1", "UF1", "UAR")
    oracle = metrics["oracle"]
    note = f"oracle ({oracle['note']})"
    head = f"last epoch, {job.weights}"
    width = max(len(note), len(head))
    rows = [(head, metrics), (note, oracle)]
    lines = ["", " " * width + "".join(f"{name:>8}" for name in names)]
    lines += [f"{label:<{width}}" + "".join(f"{scores[name]:8.3f}" for name in names) for label, scores in rows]
    per_class = ", ".join(f"{c} {s['F1']:.3f} ({s['samples']})" for c, s in metrics["per_class"].items())
    return "\n".join([*lines, f"F1 per class: {per_class}"])
