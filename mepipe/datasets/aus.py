"""Action units as annotated, in a normal form that keeps side, intensity, reflexes, doubt and alternatives.

Sheets write one thing in many ways: `AU6+AU12`, `4+r12 `, `7B+ ref(43)`, `(R6 or R12) + R15`, `A/L12`, `10A/B`. In the
normal form terms are joined by `+`, the alternatives of a term by `|`; a unit is its side, its kind when it is no AU,
its number and its intensity; `?` follows a term that the coder doubted, and stands alone where nothing was coded.
Codes: Ekman, Friesen and Hager, Facial Action Coding System (2002); T and B (top, bottom) as in SAMM and CAS(ME)^3.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from mepipe.errors import MepipeError

_UNIT = re.compile(
    r"(?P<reflex>REF\s*\(\s*)?"
    r"(?:(?P<before>AU|AD|M)\s*)?"
    r"(?:(?P<side>[LRATB](?:/[LRATB])?)\s*)?"
    r"(?:(?P<after>AU|AD|M)\s*)?"
    r"0*(?P<number>[1-9][0-9]?)(?P<intensity>[A-E](?:/[A-E])?)?(?![0-9])"
    r"(?(reflex)\s*\))"
)
_OR = re.compile(r"\s*(?:OR|/|\|)\s*")


@dataclass(frozen=True)
class ActionUnit:
    """One code of the Facial Action Coding System.

    kind: 'AU', 'AD' (action descriptor) or 'M' (head movement), as annotated. side: '' both, 'L', 'R', 'T' top,
    'B' bottom, 'A' asymmetric, or two of them as in 'A/L'. intensity: '', 'A'..'E', or two of them as in 'A/B'.
    reflex: the coder took it for a reflex.
    """

    number: int
    kind: str = "AU"
    side: str = ""
    intensity: str = ""
    reflex: bool = False

    def __str__(self) -> str:
        code = f"{self.side}{'' if self.kind == 'AU' else self.kind}{self.number}{self.intensity}"
        return f"ref({code})" if self.reflex else code


@dataclass(frozen=True)
class Term:
    """One part of an expression: a unit, or several of which one was seen; none where the coder only wrote '?'."""

    alternatives: tuple[ActionUnit, ...]
    uncertain: bool = False

    def __str__(self) -> str:
        return "|".join(map(str, self.alternatives)) + ("?" if self.uncertain else "")


def parse(text: str) -> tuple[Term, ...]:
    """The terms of an annotation, in its order; none for empty text. Capitals and spaces do not matter.

    `or` (also written `/` or `|`) binds its neighbours before `+` does. MepipeError names the piece it cannot read.

    >>> [str(term) for term in parse("(R6 or R12) + ref(7B) + AD38?")]
    ['R6|R12', 'ref(7B)', 'AD38?']
    """
    if not text.strip():
        return ()
    return tuple(_term(piece, text) for piece in unicodedata.normalize("NFKC", text).upper().split("+"))


def normal(text: str) -> str:
    """The normal form; `parse` makes the same of it as of `text`. MepipeError names the piece it cannot read.

    >>> normal("AU6+AU12"), normal("4+r12 "), normal("R12 or L14"), normal("?")
    ('6+12', '4+R12', 'R12|L14', '?')
    """
    return "+".join(map(str, parse(text)))


def without_words(text: str) -> tuple[str, tuple[str, ...]]:
    """The annotation without the parts that are words, and these: SAMM has the coder's 'R14+17+soft focus'."""
    pieces = text.split("+")
    words = tuple(piece.strip() for piece in pieces if re.fullmatch(r"\s*[^\W\d_][^\d?+()]*", piece))
    return "+".join(piece for piece in pieces if piece.strip() not in words), words


def _term(piece: str, text: str) -> Term:
    codes = piece.replace("?", " ").strip()
    uncertain = "?" in piece
    if not codes and uncertain:
        return Term((), uncertain)
    if codes.startswith("(") and codes.endswith(")"):
        codes = codes[1:-1].strip()
    units: list[ActionUnit] = []
    end = 0
    while match := _UNIT.match(codes, end):
        if match["before"] and match["after"]:
            break
        units.append(
            ActionUnit(
                number=int(match["number"]),
                kind=match["before"] or match["after"] or "AU",
                side=match["side"] or "",
                intensity=match["intensity"] or "",
                reflex=bool(match["reflex"]),
            )
        )
        if match.end() == len(codes):
            return Term(tuple(units), uncertain)
        joint = _OR.match(codes, match.end())
        if joint is None:
            break
        end = joint.end()
    what = f"{piece.strip()!r} of {text!r}" if piece.strip() else f"an empty place around '+' in {text!r}"
    msg = f"Action units: {what} cannot be read. Write codes such as 4, R12, 7B, AD38 or 'R12 or R14', joined by '+'."
    raise MepipeError(msg)
