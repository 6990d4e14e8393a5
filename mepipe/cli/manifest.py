"""mepipe manifest: build, check, show, diff."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mepipe.datasets.findings import Finding
    from mepipe.datasets.manifest import Sample

_root = click.option("--root", type=click.Path(file_okay=False, path_type=Path), help="Where the release lies.")
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("manifest")
def command() -> None:
    """Turn a release into a table of samples; check, show and compare such tables."""


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


def _show_findings(findings: list[Finding]) -> None:
    for severity in ("error", "warning", "note"):
        for finding in findings:
            if finding.severity == severity:
                click.echo(str(finding), err=True)


def _findings_json(findings: list[Finding]) -> list[dict[str, str]]:
    return [{"severity": f.severity, "where": f.where, "message": f.message} for f in findings]


@command.command("build", epilog="Exit status 1: rows of the sheet were left out.")
@click.argument("dataset")
@_root
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@_json
@click.pass_context
def build(ctx: click.Context, dataset: str, root: Path | None, output: Path | None, as_json: bool) -> None:
    """Read the release of DATASET and write its manifest, manifests/<dataset>.csv."""
    from mepipe import settings
    from mepipe.datasets import manifest
    from mepipe.errors import MepipeError
    from mepipe.store import files

    samples, findings = _read_release(dataset, root)
    _show_findings(findings)
    errors = sum(f.severity == "error" for f in findings)
    if not samples:
        msg = f"No sample of {dataset} can be used, for the reasons above; no manifest was written."
        raise MepipeError(msg)
    path = output or settings.load().manifest(dataset)
    files.make_folder(path.parent)
    files.write(path, manifest.dump(samples).encode())
    subjects = len({s.subject for s in samples})
    if as_json:
        content = {"manifest": str(path), "samples": len(samples), "subjects": subjects}
        click.echo(json.dumps({**content, "findings": _findings_json(findings)}, indent=1))
    else:
        click.echo(f"{path}: {len(samples)} samples of {subjects} subjects; {errors} rows left out")
        click.echo(f"Next: mepipe extract --dataset {dataset}", err=True)
    ctx.exit(1 if errors else 0)


@command.command("check", epilog="Exit status 1: errors or warnings.")
@click.argument("dataset")
@_root
@_json
@click.pass_context
def check(ctx: click.Context, dataset: str, root: Path | None, as_json: bool) -> None:
    """Compare the release of DATASET with itself and with its manifest, and print what is not as it should be."""
    from mepipe import settings
    from mepipe.datasets import manifest

    samples, findings = _read_release(dataset, root)
    differences = _differences(manifest.read(settings.load().manifest(dataset)), samples)
    bad = [f for f in findings if f.severity != "note"]
    if as_json:
        click.echo(json.dumps({"findings": _findings_json(findings), "differences": differences}, indent=1))
    else:
        _show_findings(findings)
        for line in differences:
            click.echo(f"manifest and release differ: {line}")
        click.echo(
            f"{len(samples)} samples, {len(findings)} findings, {len(differences)} differences from the manifest"
        )
    ctx.exit(1 if bad or differences else 0)


@command.command("show")
@click.argument("dataset")
@click.option("--classes", help="Count the classes of this label scheme (3, 5), too.")
@_json
def show(dataset: str, classes: str | None, as_json: bool) -> None:
    """Print what is in a manifest: subjects, emotions, lengths, class table, licence and citation.

    DATASET is a name, or a manifest file.
    """
    from mepipe.datasets import adapters

    samples = _manifest(dataset)
    about: dict[str, Any] = {
        "samples": len(samples),
        "subjects": len({s.subject for s in samples}),
        "frames": _spread([s.offset - s.onset + 1 for s in samples]),
        "fps": sorted({s.fps for s in samples}),
        "without apex": sum(s.apex is None for s in samples),
        "corrected": sum(bool(s.note) for s in samples),
        "emotions": dict(Counter(s.emotion for s in samples).most_common()),
    }
    if classes:
        from mepipe.train.schemes import scheme

        table = scheme(classes, dataset)
        labels = [table.label(s.emotion, s.id) for s in samples]
        about["classes"] = {c: labels.count(i) for i, c in enumerate(table.classes)}
        about["left out"] = labels.count(None)
    if dataset in adapters.ADAPTERS:
        adapter = adapters.load(dataset)
        about |= {"licence": adapter.LICENCE, "citation": adapter.CITATION}
    if as_json:
        click.echo(json.dumps(about, indent=1))
        return
    for name, value in about.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        click.echo(f"{name:12} {text}")


def _spread(values: list[int]) -> str:
    return f"{min(values)}..{max(values)}, median {sorted(values)[len(values) // 2]}"


def _manifest(name: str) -> list[Sample]:
    from mepipe import settings
    from mepipe.datasets import manifest

    return manifest.read(Path(name) if name.endswith(".csv") else settings.load().manifest(name))


@command.command("diff", epilog="Exit status 1: they differ.")
@click.argument("old")
@click.argument("new")
@_json
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, as_json: bool) -> None:
    """Say what differs between two manifests (names or files), sample by sample."""
    lines = _differences(_manifest(old), _manifest(new))
    click.echo(json.dumps(lines, indent=1) if as_json else "\n".join(lines) or "no difference")
    ctx.exit(1 if lines else 0)


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
