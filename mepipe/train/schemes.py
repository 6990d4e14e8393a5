"""Label schemes: which class a sample's emotion belongs to. The schemes themselves are data, in schemes.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from mepipe.errors import MepipeError, UsageError


@dataclass(frozen=True)
class Scheme:
    """A scheme for one database: classes in label order, and the class of each emotion (None: left out)."""

    name: str
    classes: tuple[str, ...]
    emotions: Mapping[str, str | None]

    def label(self, emotion: str, sample: str) -> int | None:
        """The label of an emotion as annotated, None where the scheme leaves it out; MepipeError names the sample."""
        emotion = str(emotion).strip().lower()
        if emotion not in self.emotions:
            known = ", ".join(sorted(self.emotions))
            what = f"emotion {emotion!r}" if emotion else "no emotion"
            msg = f"Sample {sample} has {what}; scheme {self.name} knows: {known}. Correct its row in the manifest."
            raise MepipeError(msg)
        name = self.emotions[emotion]
        return None if name is None else self.classes.index(name)


@cache
def _tables() -> dict[str, dict]:
    return yaml.safe_load(files("mepipe.train").joinpath("schemes.yaml").read_text(encoding="utf-8"))


def scheme(classes: str, dataset: str) -> Scheme:
    """The scheme with that many classes ("3", "5") for a database; UsageError says which there are.

    >>> scheme("3", "samm").label("Happiness ", "006_1_2")
    1
    """
    tables = _tables()
    if classes not in tables:
        msg = f"No scheme with {classes} classes. There are: {', '.join(tables)}."
        raise UsageError(msg)
    table = tables[classes]
    rules = table["databases"].get(dataset) or table["databases"].get("default")
    if rules is None:
        having = ", ".join(table["databases"])
        msg = f"No scheme with {classes} classes for {dataset!r}; there is one for: {having}. Try --classes 3."
        raise UsageError(msg)
    emotions = dict.fromkeys(rules.get("drop", ())) | {e: name for name, es in rules["map"].items() for e in es}
    return Scheme(f"{table['name']} ({dataset})", tuple(rules.get("classes") or table["classes"]), emotions)
