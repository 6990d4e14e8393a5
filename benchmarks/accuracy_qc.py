"""What `mepipe qc` measures on clips without fault and on clips with a planted one, beside its limits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import planted
from benchmarks.planted import Clip
from benchmarks.tables import Asked, Report, Row, Table
from benchmarks.whole import command
from mepipe.datasets.demo import plan
from mepipe.datasets.demo.plan import Entry
from mepipe.qc import survey
from mepipe.qc.judge import LIMITS

TITLE = "Quality flags against planted faults"
_TEXT = """\
`mepipe qc` after `mepipe extract` of the recipe `features`, {clean} clips of {subjects} subjects without fault (30, 100
and 200 frames per second, motion of 0.8 to 2.5 px, a head that sways, light that drifts, sensor noise), and {faulty}
clips with a fault each. *Clean*: the highest value of clips without fault (of `flat` the lowest), and how many raise
the flag. *Planted*: the values of the clips with that fault, and how many raise it. Limits are those of
`mepipe/qc/judge.py`."""

Samples = dict[str, Any]
# flag -> what is planted, and by what.
FAULTS: dict[str, tuple[str, Callable[[Entry], Clip]]] = {
    "frozen": ("a third of the clip stands still", planted.frozen),
    "missing": ("every eighth frame", planted.gaps),
    "apex": ("annotated two frames before the offset", planted.wrong_apex),
    "blink": ("within 0.225 s", planted.blink),
    "turn": ("by 4 degrees and back", planted.turn),
    "flat": ("no motion", planted.flat),
    "blur": ("sigma 3 px of the recording", planted.blur),
    "illumination": ("12 grey levels at once", planted.light),
    "asymmetry": ("seen from the side, 25 degrees", planted.from_the_side),
}


def run(quick: bool = False) -> Report:
    """126 clean clips and twelve of each fault; a few of either when `quick`."""
    subjects, each, count = (3, 2, 1) if quick else (24, 5, 12)
    entries = plan.entries(subjects, each, 0, fps=(200.0, 100.0, 30.0))
    others = planted.entries(count, len(FAULTS), seed=6)
    chosen = {flag: others[k :: len(FAULTS)][:count] for k, flag in enumerate(FAULTS)}
    with ProcessPoolExecutor(2) as pool:
        clean = _surveyed(pool.map(planted.clean, entries))
        made = pool.map(_plant, *zip(*[(flag, entry) for flag in FAULTS for entry in chosen[flag]], strict=True))
        faulty = _surveyed(made)
    found = {flag: [faulty[f"{entry.name}-{flag}"] for entry in chosen[flag]] for flag in FAULTS}
    rows = [_row(flag, list(clean.values()), found.get(flag, [])) for flag in LIMITS]
    alarms = sum(bool(sample["flags"]) for sample in clean.values())
    missed = sum(flag not in _raised(sample) for flag, samples in found.items() for sample in samples)
    header = ("flag", "unit", "limit", "clean, extreme", "raised", "planted", "lowest", "highest", "found")
    text = _TEXT.format(clean=len(clean), subjects=subjects, faulty=len(faulty))
    asked = [Asked("clean clips that raise a flag", alarms, "<=", 0), Asked("faults not found", missed, "<=", 0)]
    return Report(TITLE, text, [Table("Flags", header, rows)], asked)


def _plant(flag: str, entry: Entry) -> Clip:
    return replace(FAULTS[flag][1](entry), id=f"{entry.name}-{flag}")


def _surveyed(made: Iterable[Clip]) -> Samples:
    """What `mepipe qc` says of these clips, by sample."""
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        folder = Path(name)
        manifest, store = planted.write(folder, made), str(folder / "store")
        given = ("--manifest", manifest, "--store", store, "-j", 2)
        command("mepipe", "extract", *given, XDG_CACHE_HOME=folder / "cache")
        samples: Samples = survey.survey(store, "lab", None, workers=1)["samples"]
        return samples


def _row(flag: str, clean: list[Samples], faulty: list[Samples]) -> Row:
    limit = LIMITS[flag]
    usual = [sample["values"][flag] for sample in clean if flag in sample["values"]]
    extreme = (min if limit.below else max)(usual) if usual else ""
    row = (flag, limit.unit, limit.limit, extreme, f"{sum(flag in _raised(sample) for sample in clean)}")
    if not faulty:
        return (*row, "", "", "", "")
    values = [sample["values"][flag] for sample in faulty]
    found = sum(flag in _raised(sample) for sample in faulty)
    return (*row, FAULTS[flag][0], min(values), max(values), f"{found} of {len(faulty)}")


def _raised(sample: Samples) -> set[str]:
    return {flag["flag"] for flag in sample["flags"]}
