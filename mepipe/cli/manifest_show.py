"""What `mepipe manifest show` prints: what is in a manifest, and its classes under a label scheme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mepipe.datasets.findings import Finding
    from mepipe.datasets.manifest import Sample
    from mepipe.train.composites import SampleList
    from mepipe.train.schemes import Expected, Scheme, UnitSet


def overview(samples: Sequence[Sample]) -> dict[str, Any]:
    """Counts of a manifest, in the order in which they are printed."""
    lengths = sorted(s.offset - s.onset + 1 for s in samples)
    splits = Counter(s.split for s in samples if s.split)
    return {
        "samples": len(samples),
        "subjects": len({s.subject for s in samples}),
        **({"splits": dict(splits)} if splits else {}),
        "frames": f"{lengths[0]}..{lengths[-1]}, median {lengths[len(lengths) // 2]}",
        "fps": sorted({s.fps for s in samples}),
        "without apex": sum(s.apex is None for s in samples),
        "missing frames": sum(bool(s.missing) for s in samples),
        "corrected": sum(bool(s.note) for s in samples),
        "emotions": dict(Counter(s.emotion for s in samples).most_common()),
    }


def classes(samples: Sequence[Sample], dataset: str, name: str) -> dict[str, Any]:
    """Classes of one database under a scheme, in a table for each part of its split, beside what official sheets give.

    Or, where `name` is that of a set of action units, how many samples have each.
    """
    from mepipe.train import schemes
    from mepipe.train.composites import listed

    if name in schemes.unit_set_names():
        return _units(samples, schemes.unit_set(name, dataset))
    rules = schemes.scheme(name, dataset)
    parts = sorted({s.split for s in samples})
    tables = [
        _table(
            " ".join(filter(None, (dataset, split))),
            rules,
            listed((s for s in samples if s.split == split), rules),
            [e for e in rules.expected if e.split == split],
        )
        for split in parts
    ]
    return _together(rules, tables)


def composite(name: str, manifests: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """The classes of a composite: a table for each of its databases, and their sum."""
    from mepipe.train import composites, schemes

    scheme_name, datasets = composites.COMPOSITES[name]
    whole = composites.composite(name, manifests)
    tables = []
    for dataset in datasets:
        rules = schemes.scheme(scheme_name, dataset)
        tables.append(_table(dataset, rules, composites.listed(manifests[dataset], rules), rules.expected))
    subjects = len(set(whole.subjects.values()))
    counted = {"samples": len(whole.labels), "subjects": subjects}
    return {**counted, **_together(rules, tables), "scheme": scheme_name}


def _table(title: str, rules: Scheme, part: SampleList, expected: Iterable[Expected]) -> dict[str, Any]:
    counts = Counter(part.labels.values())
    here = {name: counts[label] for label, name in enumerate(rules.classes)}
    subjects = len(set(part.subjects.values()))
    named = {sample: why for sample, why in part.left_out.items() if sample in rules.exclude}
    official = []
    for sheet in expected:
        stated = {name: sheet.counts[name] for name in rules.classes}
        differs = {name: [n, stated[name]] for name, n in here.items() if n != stated[name]}
        if sheet.subjects not in (None, subjects):
            differs["subjects"] = [subjects, sheet.subjects]
        official.append({"sheet": sheet.sheet, "classes": stated, "subjects": sheet.subjects, "differs": differs})
    return {
        "of": title,
        "classes": here,
        "subjects": subjects,
        "left out": len(part.left_out),
        "left out for": dict(Counter(why for i, why in part.left_out.items() if i not in named).most_common()),
        "left out by name": named,
        "expected": official,
    }


def _together(rules: Scheme, tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "scheme": rules.name,
        "source": rules.source,
        "classes": {name: sum(table["classes"][name] for table in tables) for name in rules.classes},
        "left out": sum(table["left out"] for table in tables),
        "tables": tables,
    }


def _units(samples: Sequence[Sample], units: UnitSet) -> dict[str, Any]:
    targets = [units.targets(s.aus, s.id) for s in samples]
    known = [t for t in targets if t is not None]
    return {
        "scheme": units.name,
        "source": units.source,
        "action units": {f"AU{unit}": sum(t[i] for t in known) for i, unit in enumerate(units.units)},
        "not annotated": len(targets) - len(known),
    }


def text(about: Mapping[str, Any]) -> str:
    """What `overview`, `classes` and `composite` say, for a person."""
    lines = []
    for name, value in about.items():
        if name == "tables" or (name in ("classes", "left out") and len(about.get("tables", ())) == 1):
            continue
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else shown
        lines.append(f"{name:14} {shown}")
    for table in about.get("tables", ()):
        lines += ["", *_table_text(table)]
    return "\n".join(lines)


def _table_text(table: Mapping[str, Any]) -> list[str]:
    sheets = table["expected"]
    columns = [table, *sheets]
    titles = ["here", *(f"expected ({sheet['sheet']})" for sheet in sheets)]
    rows = [(name, [c["classes"][name] for c in columns]) for name in table["classes"]]
    rows.append(("all", [sum(c["classes"].values()) for c in columns]))
    rows.append(("subjects", ["" if c["subjects"] is None else c["subjects"] for c in columns]))
    width = max(len(str(name)) for name in (table["of"], *(name for name, _ in rows)))
    widths = [max(6, len(title)) for title in titles]

    def line(name: str, cells: Sequence[object]) -> str:
        return f"{name:<{width}}" + "".join(f"  {cell!s:>{w}}" for cell, w in zip(cells, widths, strict=True)).rstrip()

    lines = [line(table["of"], titles), *(line(name, cells) for name, cells in rows)]
    if table["left out"]:
        why = [f"{reason} {n}" for reason, n in table["left out for"].items()]
        lines.append(f"left out: {table['left out']}" + (f" ({', '.join(why)})" if why else ""))
        lines += [f"  {sample}: {reason}" for sample, reason in table["left out by name"].items()]
    return [*lines, *_verdict(sheets)]


def _verdict(sheets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether the classes are those of one of the official sheets; nothing where none is known."""
    same = [sheet["sheet"] for sheet in sheets if not sheet["differs"]]
    if same:
        return [f"As from the official sheet ({same[0]})."]
    return [
        f"Differs from the official sheet ({sheet['sheet']}): "
        + ", ".join(f"{name} {here} instead of {stated}" for name, (here, stated) in sheet["differs"].items())
        for sheet in sheets
    ]


def findings(found: Sequence[Finding]) -> str:
    """Findings as a table, the worst first, and how many of each severity."""
    severities = ("error", "warning", "note")
    width = min(60, max((len(f.where) for f in found), default=0))
    lines = [
        f"{severity:8} {finding.where:<{width}}  {finding.message}"
        for severity in severities
        for finding in found
        if finding.severity == severity
    ]
    counts = Counter[str](f.severity for f in found)
    total = ", ".join(number(counts[s], s) for s in severities if counts[s])
    return "\n".join([*lines, total or "nothing to report"])


def number(n: int, thing: str) -> str:
    """'1 error', '2 errors'."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def manifest_name(argument: str) -> str:
    """The dataset that a manifest argument names: a name, or a file that is called by it."""
    return Path(argument).stem if argument.endswith(".csv") else argument
