"""What tells two snapshots, or two features, apart; in one store or in two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mepipe.store.feature import Feature, read_table
from mepipe.store.place import Place


@dataclass(frozen=True)
class Differences:
    """Between a first and a second. Empty where nothing differs.

    removed, added: samples that only the first has, or only the second; of a feature, those done. changed: {sample:
    {field of the manifest, or `values`: (first, second)}}. made: {what made the feature: (first, second)}.
    """

    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    made: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed or self.made)


def between_snapshots(first: tuple[Place, str], second: tuple[Place, str]) -> Differences:
    """Samples that came, went, or changed in a field of the manifest or in their frames."""
    a, b = (read_table(*one).to_dict("index") for one in (first, second))
    return _between({str(k): _named(v) for k, v in a.items()}, {str(k): _named(v) for k, v in b.items()})


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a table; numbers as JSON can have them."""
    return {str(name): value.item() if hasattr(value, "item") else value for name, value in row.items()}


def between_features(first: Feature, second: Feature) -> Differences:
    """What made them, and the samples of which values differ, or that one of them lacks."""
    known = [{s: {"values": r.digest} for s, r in f.records.items() if r.state == "done"} for f in (first, second)]
    made = [dict(flat(f.attributes["lineage"])) for f in (first, second)]
    return Differences(**{**vars(_between(*known)), "made": _pairs(*made)})


def flat(lineage: Any) -> Iterator[tuple[str, Any]]:
    """A lineage by `<stage>.<name>`: version, parameters, libraries, weights of each stage, from the last one back."""
    seen: dict[str, int] = {}
    while isinstance(lineage, dict):
        stage = lineage["stage"]
        seen[stage] = seen.get(stage, 0) + 1
        name = stage if seen[stage] == 1 else f"{stage}#{seen[stage]}"
        found = {"version": lineage["version"], **lineage["params"], **lineage["libraries"]}
        found |= {f"weights {weights}": digest for weights, digest in lineage.get("weights", {}).items()}
        yield from ((f"{name}.{what}", value) for what, value in found.items())
        lineage = lineage["upstream"]
    yield "source", lineage


def _between(a: dict[str, dict[str, Any]], b: dict[str, dict[str, Any]]) -> Differences:
    changed = {sample: _pairs(a[sample], b[sample]) for sample in a if sample in b and a[sample] != b[sample]}
    return Differences([s for s in a if s not in b], [s for s in b if s not in a], changed)


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {n: (a.get(n), b.get(n)) for n in dict.fromkeys([*a, *b]) if a.get(n) != b.get(n)}
