"""mepipe manifest: build, check, show, diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mepipe.cli import common, manifest_spot

if TYPE_CHECKING:
    from mepipe.datasets.findings import Finding
    from mepipe.datasets.manifest import Sample

# How the .gitignore begins that build writes beside a licensed database's manifest, and adds to.
GITIGNORE = "# mepipe: sheets of licensed databases may not be passed on. In a private repository, empty this file.\n"

_root = click.option("--root", type=click.Path(file_okay=False, path_type=Path), help="Where the release lies.")


@click.group("manifest")
def command() -> None:
    """Turn a release into a table of samples; check, show and compare such tables."""


command.add_command(manifest_spot.command)


def _read_release(dataset: str, root: Path | None) -> tuple[list[Sample], list[Finding]]:
    from mepipe import settings
    from mepipe.datasets import adapters
    from mepipe.errors import UsageError

    adapter = adapters.load(dataset)
    place = root or settings.load().root(dataset)
    if not place.is_dir():
        msg = f"The root of {dataset} is {place}, and there is no such folder. Mount it, or say --root DIR."
        raise UsageError(msg)
    release = adapter.read(place)
    return release.samples, release.findings


def _findings_json(findings: list[Finding]) -> list[dict[str, str]]:
    return [{"severity": f.severity, "where": f.where, "message": f.message} for f in findings]


@command.command("build", epilog="Exit status 1: rows of the sheet were left out.")
@click.argument("dataset")
@_root
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@common.as_json
@click.pass_context
def build(ctx: click.Context, dataset: str, root: Path | None, output: Path | None, as_json: bool) -> None:
    """Read the release of DATASET and write its manifest, manifests/<dataset>.csv."""
    from mepipe import settings
    from mepipe.cli import manifest_show
    from mepipe.datasets import manifest
    from mepipe.errors import MepipeError
    from mepipe.store import files

    samples, findings = _read_release(dataset, root)
    if findings:
        click.echo(manifest_show.findings(findings), err=True)
    errors = sum(f.severity == "error" for f in findings)
    if not samples:
        msg = f"No sample of {dataset} can be used, for the reasons above; no manifest was written."
        raise MepipeError(msg)
    path = output or settings.load().manifest(dataset)
    files.make_folder(path.parent)
    _keep_out_of_git(path, dataset)
    files.write(path, manifest.dump(samples).encode())
    subjects = len({s.subject for s in samples})
    if as_json:
        content = {"manifest": str(path), "samples": len(samples), "subjects": subjects}
        click.echo(json.dumps({**content, "findings": _findings_json(findings)}, indent=1))
    else:
        click.echo(
            f"{path}: {len(samples)} samples of {subjects} subjects; {manifest_show.number(errors, 'row')} left out"
        )
        click.echo(f"Next: mepipe extract --dataset {dataset}", err=True)
    ctx.exit(1 if errors else 0)


def _keep_out_of_git(path: Path, dataset: str) -> None:
    """In a git repository, let git ignore a licensed database's manifest, unless a .gitignore beside it decides."""
    from mepipe.store import files

    folder, line = path.absolute().parent, f"/{path.name}"
    ignore = folder / ".gitignore"
    in_repository = any((place / ".git").exists() for place in (folder, *folder.parents))
    if dataset == "demo" or not in_repository:
        return
    text = ignore.read_text(encoding="utf-8") if ignore.exists() else GITIGNORE
    if text.startswith(GITIGNORE) and line not in text.splitlines():
        files.write(ignore, f"{text}{line}\n".encode())
        click.echo(f"Git ignores {path.name} from now on ({ignore}): see README, Licences.", err=True)


@command.command("check", epilog="Exit status 1: errors, warnings, or differences from the manifest.")
@click.argument("dataset")
@_root
@common.as_json
@click.pass_context
def check(ctx: click.Context, dataset: str, root: Path | None, as_json: bool) -> None:
    """Compare frames and sheet of DATASET's release, and both with its manifest if there is one.

    Prints a table of what is not as it should be, the worst first.
    """
    from mepipe import settings
    from mepipe.cli import manifest_show
    from mepipe.datasets import manifest

    samples, findings = _read_release(dataset, root)
    path = settings.load().manifest(dataset)
    kept = [_as_read(s) for s in manifest.read(path)] if path.exists() else None
    differences = _differences(kept, samples) if kept is not None else []
    bad = [f for f in findings if f.severity != "note"]
    if as_json:
        click.echo(json.dumps({"findings": _findings_json(findings), "differences": differences}, indent=1))
    else:
        click.echo(manifest_show.findings(findings))
        for line in differences:
            click.echo(f"manifest and release differ: {line}")
        against = (
            f"{manifest_show.number(len(differences), 'difference')} from {path}"
            if path.exists()
            else f"no manifest at {path} yet"
        )
        click.echo(f"{len(samples)} samples, {manifest_show.number(len(findings), 'finding')}, {against}")
    ctx.exit(1 if bad or differences else 0)


@command.command("show", epilog="mepipe manifest show casme2 --scheme cde-3; mepipe manifest show cde")
@click.argument("dataset")
@click.option(
    "--scheme",
    "--classes",
    "scheme",
    help="Count its classes, too, beside what official sheets give: cde-3, four, five, seven, objective-5, ..., or a "
    "number of classes; or a set of action units: micro-au.",
)
@common.as_json
def show(dataset: str, scheme: str | None, as_json: bool) -> None:
    """Print what is in a manifest: subjects, emotions, lengths, class table, licence and citation.

    DATASET is a name, or a manifest file; or a composite of several (cde).
    """
    from mepipe.cli import manifest_show
    from mepipe.datasets import adapters
    from mepipe.errors import UsageError
    from mepipe.train.composites import COMPOSITES

    about: dict[str, Any]
    datasets: tuple[str, ...]
    if dataset in COMPOSITES:
        own, datasets = COMPOSITES[dataset]
        if scheme not in (None, own):
            msg = f"The composite {dataset} is defined by scheme {own}, not {scheme}. Say --scheme {own}, or nothing."
            raise UsageError(msg)
        about = manifest_show.composite(dataset, {name: _manifest(name) for name in datasets})
    else:
        samples, datasets = _manifest(dataset), (manifest_show.manifest_name(dataset),)
        about = manifest_show.overview(samples)
        if scheme:
            about |= manifest_show.classes(samples, datasets[0], scheme)
    for name in datasets:
        if name in adapters.ADAPTERS:
            adapter = adapters.load(name)
            of = "" if len(datasets) == 1 else f" {name}"
            about |= {f"licence{of}": adapter.LICENCE, f"citation{of}": adapter.CITATION}
    click.echo(json.dumps(about, indent=1) if as_json else manifest_show.text(about))


def _manifest(name: str) -> list[Sample]:
    from mepipe import settings
    from mepipe.datasets import manifest

    return manifest.read(Path(name) if name.endswith(".csv") else settings.load().manifest(name))


@command.command("diff", epilog="Exit status 1: they differ.")
@click.argument("old")
@click.argument("new")
@common.as_json
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, as_json: bool) -> None:
    """Say what differs between two manifests (names or files), sample by sample.

    `diff cde FILE` compares the composite's samples and labels with the official list (combined_3class_gt.csv).
    """
    from mepipe.train.composites import COMPOSITES

    if old in COMPOSITES:
        lines = _composite_differences(old, Path(new))
    else:
        lines = _differences(_manifest(old), _manifest(new))
    click.echo(json.dumps(lines, indent=1) if as_json else "\n".join(lines) or "no difference")
    ctx.exit(1 if lines else 0)


def _as_read(sample: Sample) -> Sample:
    """A sample of a manifest without the apex that `manifest spot` has added to what the release says."""
    notes = [note for note in sample.note.split("; ") if not note.startswith(manifest_spot.SPOTTED)]
    if "; ".join(notes) == sample.note:
        return sample
    return sample.model_copy(update={"apex": None, "note": "; ".join(notes)})


def _differences(old: list[Sample], new: list[Sample]) -> list[str]:
    before, after = {s.id: s for s in old}, {s.id: s for s in new}
    lines = [f"sample {i}: gone" for i in before if i not in after]
    lines += [f"sample {i}: new" for i in after if i not in before]
    for name in before.keys() & after.keys():
        for field, value in before[name]:
            now = getattr(after[name], field)
            if now != value:
                lines.append(f"sample {name}: {field} changed {value} -> {now}")
    return sorted(lines)


def _composite_differences(name: str, path: Path) -> list[str]:
    from mepipe.errors import UsageError
    from mepipe.train import composites, schemes

    scheme, datasets = composites.COMPOSITES[name]
    try:
        official = composites.read_official(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}). Name the list of the challenge, combined_3class_gt.csv."
        raise UsageError(msg) from None
    ours = composites.composite(name, {dataset: _manifest(dataset) for dataset in datasets})
    classes = schemes.scheme(scheme, datasets[0]).classes
    lines = [f"sample {i}: not in {path}" for i in ours.labels if i not in official]
    for sample, label in official.items():
        if sample not in ours.labels:
            lines.append(f"sample {sample}: only in {path} ({ours.left_out.get(sample, 'in no manifest')})")
        elif ours.labels[sample] != label:
            lines.append(f"sample {sample}: {classes[ours.labels[sample]]}, in {path} {classes[label]}")
    return lines
