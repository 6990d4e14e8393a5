"""Two runs over the same samples: how far apart their scores are, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mepipe.report.gather import Account
from mepipe.train import metrics


@dataclass(frozen=True)
class Paired:
    """Second minus first. differences: {score: (difference, (low, high))}, 95 % by a bootstrap over subjects.

    only_first, only_second: samples that one alone has right (of action units: all of a sample's). p: of McNemar's
    exact test on those.
    """

    differences: dict[str, tuple[float, tuple[float, float]]]
    only_first: int
    only_second: int
    p: float


def comparable(first: Account, second: Account) -> str:
    """Why two runs cannot be paired, or nothing: the same samples, with the same labels, of the same classes."""
    if first.classes != second.classes or first.units != second.units:
        return "other classes"
    one, two = ({p.sample: p.true for p in a.predictions} for a in (first, second))
    if one.keys() != two.keys():
        return f"other samples: {len(one.keys() & two.keys())} are in both"
    return "" if one == two else "the same samples, labelled otherwise"


def paired(first: Account, second: Account) -> Paired:
    """The comparison of two runs that `comparable` finds nothing against."""
    order = sorted(range(len(first.predictions)), key=lambda n: first.predictions[n].sample)
    other = {p.sample: p for p in second.predictions}
    mine = [first.predictions[n] for n in order]
    theirs = [other[p.sample] for p in mine]
    true = np.array([first.encoded(p.true) for p in mine])
    guesses = [np.array([first.encoded(p.predicted) for p in side]) for side in (mine, theirs)]
    right = [np.array([p.right for p in side]) for side in (mine, theirs)]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    subjects = [p.subject for p in mine]
    spans = bootstrap(true, guesses[0], guesses[1], subjects, len(first.classes))
    apart = {name: getattr(second.metrics, name) - getattr(first.metrics, name) for name in spans}
    differences = {name: (apart[name], span) for name, span in spans.items()}
    return Paired(differences, only_first, only_second, mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact, two-sided: how likely so uneven a split of the samples that one alone has right is, were both as good."""
    from scipy.stats import binomtest

    both = only_first + only_second
    return float(binomtest(only_first, both).pvalue) if both else 1.0


def bootstrap(
    true: np.ndarray, first: np.ndarray, second: np.ndarray, subjects: Sequence[str], classes: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals, over subjects, of the scores of the second minus those of the first.

    As `metrics.intervals`, and both runs by the same draws: what makes a subject hard is hard for both, and falls out
    of the difference. Labels are [sample], or of action units [sample, unit].
    """
    one, two = (
        metrics.drawn_units(true, guess, subjects) if true.ndim > 1 else metrics.drawn(true, guess, subjects, classes)
        for guess in (first, second)
    )
    return {name: metrics.span(two[name] - one[name]) for name in one}
