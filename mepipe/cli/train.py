"""`mepipe train`: train and evaluate a model from the store. A model's options are derived from its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mepipe.cli import common
from mepipe.cli.options import option
from mepipe.models import configs

if TYPE_CHECKING:
    from mepipe.train.jobs import Job


class Models(click.Group):
    """A command for each model."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(configs.SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in configs.SUMMARIES else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            configs.check(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Models"):
            formatter.write_dl(list(configs.SUMMARIES.items()))


@click.group("train", cls=Models, epilog="mepipe train mpt --dataset demo --config tiny --weights random")
def command() -> None:
    """Train and evaluate a model from the store."""


def _shared(call: Any) -> Any:
    """The options that all models have."""
    for decorate in reversed(_SHARED):
        call = decorate(call)
    return call


_SHARED = [
    click.option("--dataset", required=True, multiple=True, help="Which dataset's features to read; several: pooled."),
    click.option("--protocol", default="loso", show_default=True, help="loso, cde, cross, fixed, kfold-K."),
    click.option("--classes", default="3", show_default=True, help="The label scheme, by number of classes or name."),
    click.option("--units", default="micro-au", show_default=True, help="Set of action units, for models of these."),
    click.option(
        "--config", "configuration", help="Named configuration.  [default: paper; with --backbone tiny, tiny]"
    ),
    common.store,
    click.option("--recipe", help="Take the features of this recipe only.  [default: any]"),
    click.option("--feature", multiple=True, help="Read this feature instead of the model's, as an imported one."),
    click.option("--weights", help="Checkpoint file, or its folder [default: cache/weights], or: random."),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0)),
    click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])),
    click.option("--jobs", type=click.IntRange(1), help="Folds at once.  [default: one per core; on CUDA 1]"),
    click.option(
        "--hold-out", default=0.0, type=click.FloatRange(0, 0.5), help="Share of training subjects to stop by."
    ),
    click.option("--accumulate", default=1, show_default=True, type=click.IntRange(1), help="Parts of a batch."),
    click.option("--bf16", is_flag=True, help="Matrices in bfloat16, on CUDA."),
    click.option("--compile", "compiled", is_flag=True, help="torch.compile the training step."),
    click.option("--checkpoints", is_flag=True, help="Keep what was trained, a file per fold."),
    click.option(
        "--run",
        "folder",
        type=click.Path(path_type=Path),
        help="Run folder, new or to be resumed.  [default: in runs, named by what the result depends on]",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be trained on what, and stop."),
    click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON."),
]
_OF_REQUEST = (
    "protocol",
    "classes",
    "units",
    "configuration",
    "recipe",
    "seed",
    "device",
    "hold_out",
    "accumulate",
    "bf16",
    "compiled",
    "checkpoints",
)


def _command(name: str) -> click.Command:
    known = configs.configurations(name)
    fields = type(known[configs.DEFAULT]).model_fields

    @_shared
    def run(dataset: tuple[str, ...], feature: tuple[str, ...], weights: str | None, **given: Any) -> None:
        from mepipe import settings
        from mepipe.train import jobs

        found = settings.load()
        small = given.get("backbone") in known  # nobody means the tiny backbone with the paper's learning rate
        given["configuration"] = given["configuration"] or (given["backbone"] if small else configs.DEFAULT)
        request = jobs.Request(
            name,
            dataset,
            changes={field: given[field] for field in fields if given[field] is not None},
            features=feature,
            weights=weights or str(found.weights),
            **{key: given[key] for key in _OF_REQUEST},
        )
        job = jobs.resolve(request, given["store"] or found.store)
        _train(job, given["folder"] or found.runs / job.name, given["jobs"], given["dry_run"], given["as_json"])

    text = f"{configs.SUMMARIES[name]}\n\nConfigurations: {', '.join(known)}."
    made = click.command(name, help=text, epilog=f"mepipe train {name} --dataset samm --protocol loso")(run)
    made.params.extend(option(n, f, "paper") for n, f in fields.items())
    return made


def _train(job: Job, folder: Path, processes: int | None, dry_run: bool, as_json: bool) -> None:
    from tqdm import tqdm

    from mepipe.train import jobs, runfolder

    click.echo(_plan(job, folder), err=as_json)
    if dry_run:
        return
    with tqdm(total=len(job.folds) * job.how.schedule.epochs, unit="epoch", disable=None) as bar:

        def on_epoch(fold: str, more: int) -> None:
            if fold:
                bar.set_description(f"fold {fold}", refresh=False)
            bar.update(more)

        metrics = jobs.run(job, folder, processes, on_epoch)
    if as_json:
        click.echo(runfolder.to_json({"run": str(folder), **metrics}), nl=False)
    else:
        click.echo(_table(job, metrics))
        click.echo(f"\nRun folder: {folder}")


def _plan(job: Job, folder: Path) -> str:
    chosen = job.selection
    labels = list(chosen.labels.values())
    numbers = map(sum, zip(*labels, strict=True)) if chosen.units else map(labels.count, range(len(chosen.classes)))
    counts = dict(zip(chosen.classes, numbers, strict=True))
    paths = [f["path"] for part in chosen.read.values() for f in part["features"].values()]
    lines = [
        *(f"feature   {path}" for path in paths),
        f"protocol  {job.config['protocol']}: {len(job.folds)} folds, {len(set(chosen.subjects.values()))} subjects",
        f"{'units' if chosen.units else 'classes':8}  {', '.join(f'{c} {n}' for c, n in counts.items())}",
        f"model     {job.model.name} ({job.config['configuration']}), {job.weights}; {job.how.schedule.epochs} epochs, "
        f"seed {job.how.seed}, {job.how.device.type}",
        f"run       {folder}",
    ]
    if chosen.dropped:
        lines.append(f"left out  {len(chosen.dropped)} samples without a class in {chosen.scheme}")
    lines += [f"excluded  {sample}: {why}" for sample, why in chosen.excluded.items()]
    return "\n".join(lines)


def _table(job: Job, metrics: dict[str, Any]) -> str:
    names = [name for name in ("ACC", "F1", "UF1", "UAR") if name in metrics]
    rows = [(f"{metrics['reported']}, {job.weights}", metrics)]
    rows += [(f"  of these, {name}", scores) for name, scores in metrics.get("datasets", {}).items()]
    rows += [(f"oracle ({metrics['oracle']['note']})", metrics["oracle"])]
    width = max(len(label) for label, _ in rows)
    lines = ["", " " * width + "".join(f"{name:>8}" for name in names)]
    lines += [f"{label:<{width}}" + "".join(f"{scores[name]:8.3f}" for name in names) for label, scores in rows]
    per_class = ", ".join(f"{c} {s['F1']:.3f} ({s['samples']})" for c, s in metrics["per_class"].items())
    spans = ", ".join(f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in metrics["intervals"].items())
    beside = [
        f"{also['what']} ({also['samples']} samples, {also['scheme']}): UF1 {also['UF1']:.3f}, UAR {also['UAR']:.3f}, "
        f"ACC {also['ACC']:.3f}"
        for also in metrics.get("also", {}).values()
    ]
    return "\n".join([*lines, f"F1 per class: {per_class}", f"95 % over subjects: {spans}", *beside])
