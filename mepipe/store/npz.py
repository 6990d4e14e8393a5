"""A store's features as a folder of .npz, one for each sample, for who wants nothing but NumPy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mepipe.errors import MepipeError, UsageError
from mepipe.store import files, layout
from mepipe.store.feature import Feature, digest


def export(
    features: Sequence[Feature], folder: Path, tick: Callable[[], object] = lambda: None
) -> dict[str, dict[str, str]]:
    """Write features into a new folder; returns {feature: {sample: what is damaged}}, which is not in it.

    In it: `<snapshot>/<sample>.npz` with an array for each feature, named `<node>-<key>`; `<snapshot>/samples.csv`, the
    samples, their files, and of each feature `done`, or why not; `<snapshot>/features.json`, the features' attributes.
    """
    if folder.exists():
        msg = f"{folder} is there already. Name a new folder."
        raise UsageError(msg)
    private = files.private_name(folder)
    damaged: dict[str, dict[str, str]] = {}
    try:
        for snapshot in sorted({f.path.split("/")[0] for f in features}):
            mine = {f.path.split("/")[1]: f for f in features if f.path.startswith(f"{snapshot}/")}
            (private / snapshot).mkdir(parents=True)
            about = {name: dict(f.attributes, dims=f.dims) for name, f in mine.items()}
            (private / snapshot / "features.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
            table = next(iter(mine.values())).table.assign(file=lambda t: t["id"] + ".npz")
            for name in layout.NUMBERS:
                table[name] = [None if number == -1 else str(number) for number in table[name]]
            for sample in table["id"]:
                arrays: dict[str, np.ndarray] = {}
                for name, feature in mine.items():
                    state = _read(feature, sample, arrays, name)
                    table.loc[sample, name] = state
                    if state.startswith("damaged"):
                        damaged.setdefault(feature.path, {})[sample] = state
                    tick()
                np.savez_compressed(private / snapshot / f"{sample}.npz", **arrays)
            table.to_csv(private / snapshot / "samples.csv", index=False)
        files.publish(private, folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return damaged


def _read(feature: Feature, sample: str, arrays: dict[str, np.ndarray], name: str) -> str:
    """Add a sample's array to the others; returns its state."""
    record = feature.records.get(sample)
    if record is None or record.state != "done":
        return f"{record.state}: {record.reason}" if record else "missing"
    try:
        values = feature[sample]
    except MepipeError as error:
        return f"damaged: {error}"
    if digest(values) != record.digest:
        return "damaged: its values are not those that were written"
    arrays[name] = values
    return "done"
