"""Texts that the vision-language models read: data, in the folder `prompts` beside this file, and put together here.

Where a text is a paper's, it is so letter by letter; the files say which are, and which are ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from mepipe.datasets.aus import ActionUnit, Term, parse
from mepipe.errors import MepipeError, UsageError

Style = Literal["action", "name"]
Last = Literal["and", ","]
FILES = ("action_units", "hcp_mer", "mer_clip", "micro_au_clip")
_SIDES = {"L": "left", "R": "right"}


def _bytes(name: str) -> bytes:
    return files("mepipe.models").joinpath("prompts", f"{name}.yaml").read_bytes()


@cache
def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_bytes(name))
    return found


def digests(*names: str) -> dict[str, str]:
    """SHA-256 of files of prompts, by name, for the run: which texts a model was trained with."""
    return {name: hashlib.sha256(_bytes(name)).hexdigest() for name in names}


# --- MER-CLIP -----------------------------------------------------------------------------------------------------


@cache
def _units() -> dict[int, Mapping[str, str]]:
    tables = _read("action_units")
    return {**tables["ours"], **tables["published_code"], **tables["paper"]}


def _unit(unit: ActionUnit, style: Style) -> str:
    if unit.number not in _units():
        msg = f"No words for action unit {unit}. Add it to mepipe/models/prompts/action_units.yaml."
        raise MepipeError(msg)
    side = next((word for letter, word in _SIDES.items() if unit.side in (letter, f"A/{letter}")), None)
    if style == "name":
        return f"{_units()[unit.number]['name']}{f' on the {side}' if side else ''}"
    one_sided = _read("action_units")["one_sided"].get(unit.number)
    return one_sided.format(side=side) if side and one_sided else _units()[unit.number]["action"]


def _phrase(term: Term, style: Style) -> str:
    either = " or ".join(_unit(unit, style) for unit in term.alternatives)
    return f"{either} might be present" if term.uncertain else either


def phrases(aus: str, style: Style = "action") -> tuple[str, ...]:
    """What an annotation's units do, in its order (MER-CLIP, table II): one phrase each.

    aus: as in a manifest, `R6|R12+7`. style: the action-oriented description, or the name in FACS (table X). Sides are
    kept, and alternatives ("or") and doubt ("might be present") as the published texts of SAMM keep them; intensity
    and reflexes are not. MepipeError where a unit has no words; empty where nothing is annotated.
    """
    return tuple(_phrase(term, style) for term in parse(aus) if term.alternatives)


def combination(parts: Sequence[str], last: Last = "and") -> str:
    """Phrases as one description (eq. 5): one as it is, several as "a combination of A, B and C".

    last: what stands before the last; "and" as in the paper and the published texts of CASME II and SAMM, or a comma
    as in those of CAS(ME)^3 and DFME. UsageError where there are none.
    """
    if not parts:
        msg = "No action unit is annotated, so there is no text to make. Leave the sample out."
        raise UsageError(msg)
    if len(parts) == 1:
        return parts[0]
    joint = " and " if last == "and" else ", "
    return f"a combination of {', '.join(parts[:-1])}{joint}{parts[-1]}"


def templates(count: int | None = None) -> tuple[str, ...]:
    """The first of MER-CLIP's ten sentences, each with a place `{}` (table XII); seven, the default, by default."""
    known = _read("mer_clip")
    return tuple(known["templates"][: known["default"] if count is None else count])


# --- HCP_MER ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """The prompt group of a class: name [CLASSE], movement [CLASSAU]; marker [CLASSM] stands before either, and
    template where no tokens are learned.
    """

    name: str
    movement: str
    marker: str
    template: str

    @property
    def holistic(self) -> str:
        """What is seen as a whole, as the paper prints it in appendix A."""
        return f"{self.template} {self.marker} {self.name}"

    @property
    def componential(self) -> str:
        """What moves, as the paper prints it in appendix A."""
        return f"{self.template} {self.marker} {self.movement}"


def groups(classes: Sequence[str]) -> tuple[Group, ...]:
    """The prompt groups of classes, in their order. UsageError where a class has none: which have."""
    known = _read("hcp_mer")
    names = {also: name for name, entry in known["classes"].items() for also in (name, *entry.get("also", ()))}
    if lacking := [name for name in classes if name not in names]:
        msg = (
            f"HCP_MER has no prompts for class {lacking[0]!r}. It has them for: {', '.join(names)}. "
            "Name a scheme with these classes, or add it to mepipe/models/prompts/hcp_mer.yaml."
        )
        raise UsageError(msg)
    return tuple(
        Group(names[c], known["classes"][names[c]]["movement"], known["marker"], known["template"]) for c in classes
    )


# --- Micro-AU CLIP ------------------------------------------------------------------------------------------------


def unit_texts(units: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """For each action unit the text where it is active, and where it is not. UsageError where one has none."""
    known = _read("micro_au_clip")["units"]
    if lacking := [unit for unit in units if unit not in known]:
        msg = (
            f"Micro-AU CLIP has no texts for action unit {lacking[0]}. It has them for: {', '.join(map(str, known))}. "
            "Add it to mepipe/models/prompts/micro_au_clip.yaml."
        )
        raise UsageError(msg)
    return tuple((known[unit][0], known[unit][1]) for unit in units)


def emotion_units(units: Sequence[int]) -> dict[str, tuple[frozenset[int], ...]]:
    """By category (positive, negative, surprise) the combinations of these units that are one (section IV-F, eq. 13).

    Units that are not asked for are taken out of the table's combinations; what is left empty, or is another
    category's too, is left out.
    """
    tables = _read("micro_au_clip")
    found: dict[str, dict[frozenset[int], None]] = {
        category: {
            left: None
            for emotion in emotions
            for listed in tables["emotions"][emotion]
            if (left := frozenset(map(int, listed.split("+"))) & frozenset(units))
        }
        for category, emotions in tables["categories"].items()
    }
    shared = {
        left
        for category, ours in found.items()
        for left in ours
        if any(left in others for other, others in found.items() if other != category)
    }
    return {category: tuple(left for left in ours if left not in shared) for category, ours in found.items()}
