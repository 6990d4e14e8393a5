"""Label schemes: which class a sample belongs to, and which action units are asked for; as data, in schemes.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest


@dataclass(frozen=True)
class Expected:
    """What a scheme gives on an official sheet: samples per class, subjects where known (else None), for one split."""

    sheet: str
    counts: Mapping[str, int]
    subjects: int | None = None
    split: str = ""


@dataclass(frozen=True)
class Scheme:
    """A scheme for one database.

    classes: in label order. column: of the manifest, that decides: `emotion` or `objective`. values: the class of each
    of its values, None where the scheme leaves it out. exclude: samples left out by name, and why. source: who uses
    the scheme.
    """

    name: str
    classes: tuple[str, ...]
    values: Mapping[str, str | None]
    column: str = "emotion"
    exclude: Mapping[str, str] = field(default_factory=dict)
    expected: tuple[Expected, ...] = ()
    source: str = ""

    def label(self, value: object, sample: str) -> int | None:
        """The label of a sample whose `column` has this value, as annotated; None where the scheme leaves it out.

        MepipeError names the sample where the scheme does not know the value.
        """
        text = "" if value is None else str(value).strip().lower()
        if text not in self.values:
            title = "objective class" if self.column == "objective" else self.column
            what = f"{title} {text!r}" if text else f"no {title}"
            known = ", ".join(sorted(self.values))
            msg = f"Sample {sample} has {what}; scheme {self.name} knows: {known}. Correct its row in the manifest."
            raise MepipeError(msg)
        name = None if sample in self.exclude else self.values[text]
        return None if name is None else self.classes.index(name)


@dataclass(frozen=True)
class UnitSet:
    """Action units to be detected in one database, each present or not."""

    name: str
    units: tuple[int, ...]
    source: str

    def targets(self, aus: str, sample: str) -> tuple[int, ...] | None:
        """1 or 0 for each unit of the set, in its order; None where the sheet does not know them (`?`, or nothing).

        aus: the manifest's column. Side and intensity do not matter. Of alternatives (`R12|R14`) each counts as
        present: the coders saw one of them, and saw neither's absence. MepipeError names the sample.
        """
        from mepipe.datasets.aus import parse

        try:
            terms = parse(aus)
        except MepipeError as error:
            msg = f"Sample {sample}: {error}"
            raise MepipeError(msg) from None
        seen = [unit for term in terms for unit in term.alternatives]
        present = {unit.number for unit in seen if unit.kind == "AU"}
        return tuple(int(unit in present) for unit in self.units) if seen else None


@cache
def _tables() -> dict[str, Any]:
    return yaml.safe_load(files("mepipe.train").joinpath("schemes.yaml").read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """The schemes there are."""
    return tuple(_tables()["schemes"])


def scheme(name: str, dataset: str) -> Scheme:
    """A scheme by name ("cde-3", "five") or number of classes ("3", "5") for a database; UsageError: which there are.

    >>> scheme("3", "samm").label("Happiness ", "006_1_2")
    1
    """
    numbers, tables = _tables()["by_number"], _tables()["schemes"]
    name = numbers.get(name, name)
    table, rules = _rules("scheme", name, dataset, tables, (*numbers, *tables))
    values = dict.fromkeys(rules.get("drop", ())) | {v: c for c, vs in rules["map"].items() for v in vs}
    return Scheme(
        f"{name} ({dataset})",
        tuple(rules.get("classes") or table["classes"]),
        values,
        table.get("column", "emotion"),
        rules.get("exclude", {}),
        tuple(Expected(**e) for e in rules.get("expected", ())),
        table["source"],
    )


def unit_set_names() -> tuple[str, ...]:
    """The sets of action units there are."""
    return tuple(_tables()["unit_sets"])


def unit_set(name: str, dataset: str) -> UnitSet:
    """A set of action units by name ("micro-au") for a database; UsageError says which there are."""
    tables = _tables()["unit_sets"]
    table, units = _rules("set of action units", name, dataset, tables, tables)
    return UnitSet(f"{name} ({dataset})", tuple(units), table["source"])


def _rules(
    kind: str, name: str, dataset: str, tables: Mapping[str, Any], known: Mapping[str, Any] | tuple[str, ...]
) -> tuple[dict[str, Any], Any]:
    """The table of that name, and what it says of the database."""
    if name not in tables:
        msg = f"No {kind} {name!r}.{nearest(name, known)} There are: {', '.join(known)}."
        raise UsageError(msg)
    table = tables[name]
    rules = table["databases"].get(dataset) or table["databases"].get("default")
    if rules is None:
        having = ", ".join(table["databases"])
        msg = f"No {kind} {name!r} for {dataset!r}; there is one for: {having}. Name another, as cde-3."
        raise UsageError(msg)
    return table, rules
