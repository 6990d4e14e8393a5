"""What a run read, back to the release: its features as the run folder names them, their stages as the store does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mepipe.errors import MepipeError
from mepipe.report.gather import Account
from mepipe.report.sections import plain
from mepipe.report.tables import Table
from mepipe.store import Store
from mepipe.store.feature import Feature


def found(account: Account, store: Store | None) -> dict[str, dict[str, Feature | None]]:
    """{dataset: {node: the feature that was read, None where the store no longer has it}}."""
    read = account.features.read
    return {
        name: {node: _feature(store, where.path, where.key) for node, where in of.features.items()}
        for name, of in read.items()
    }


def _feature(store: Store | None, path: str, key: str) -> Feature | None:
    if store is None:
        return None
    try:
        feature = store.feature(path)
        return feature if feature.key == key else None  # a path has the first digits of a key only
    except MepipeError:
        return None


def environment(account: Account) -> Table:
    """Platform and versions."""
    about = account.environment
    table = Table("environment", "Environment", ["", "version"], result=False)
    table.add("git commit", about.git_commit or "unknown")
    table.add("Python", about.python)
    table.add("platform", about.platform)
    for name, version in sorted(about.versions.items()):
        table.add(name, version)
    return table


def weights(account: Account) -> Table | None:
    """Files of weights and texts with their digests."""
    config = account.run.config
    table = Table("weights", "Weights and texts", ["name", "file", "SHA-256"], result=False)
    files = config.get("weights")
    for name, about in files.items() if isinstance(files, dict) else ():
        table.add(name, str(about.get("file", "")), str(about.get("sha256", "")))
    for name, digest in dict(config.get("texts") or {}).items():
        table.add(name, "text", str(digest))
    return table if table.rows else None


def tables(account: Account, features: dict[str, dict[str, Feature | None]]) -> list[Table]:
    """For each feature that was read its stages, first one first; only its key where the store does not have it."""
    made = []
    for dataset, nodes in features.items():
        for node, feature in nodes.items():
            where = account.features.read[dataset].features[node]
            table = Table(
                "lineage",
                f"{dataset} / {node}",
                ["stage", "version", "parameters", "libraries and weights"],
                note=f"{where.path}, key {where.key}",
                result=False,
            )
            for stage in reversed(list(_stages(feature.attributes.get("lineage", "")))) if feature else ():
                table.add(*stage)
            made.append(table)
    return made


def _stages(lineage: Any) -> Iterator[tuple[str, str, str, str]]:
    while isinstance(lineage, dict):
        made_by = {**lineage["libraries"], **{f"weights {n}": d for n, d in lineage.get("weights", {}).items()}}
        yield lineage["stage"], str(lineage["version"]), _listed(lineage["params"]), _listed(made_by)
        lineage = lineage["upstream"]
    if lineage:
        yield "the release's frames" if lineage == "source" else str(lineage), "", "", ""


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {plain(value)}" for name, value in values.items())
