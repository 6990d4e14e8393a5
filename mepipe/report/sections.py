"""The tables about one run: what was asked, who was in it, and what came of it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from mepipe.report.figures import shade
from mepipe.report.gather import Account, Scores
from mepipe.report.tables import Cell, Row, Table, number
from mepipe.train import runs
from mepipe.train.composites import database

_OF_CLASSES, _OF_UNITS = ("ACC", "F1", "UF1", "UAR"), ("ACC", "F1")
PAPER = "Papers' figures are of the real databases, with pretrained weights: no other data compare with them"
UF1 = "F1 is the macro F1, which MEGC calls UF1"


def plain(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, str):
        return value
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


def asked(account: Account) -> list[Table]:
    """The configuration and the model's parameters, resolved, as the run folder keeps them."""
    config = account.run.config
    table = Table("asked", "What was asked", ["setting", "value"], result=False)
    known = {
        "model": f"{config['model']}, configuration {config['configuration']}",
        "databases": " + ".join(config["datasets"]),
        "protocol": f"{config['protocol']}: {account.metrics.folds} folds, {len(_subjects(account))} subjects",
        "action units" if account.units else "classes": f"{config['scheme']}: {', '.join(account.classes)}",
        "reported": account.metrics.reported,
        "weights": account.metrics.weights,
    }
    for name, value in known.items():
        table.add(name, value)
    shown = {"model", "configuration", "datasets", "protocol", "scheme", "classes", "parameters", "weights", "texts"}
    for name in sorted(config.keys() - shown):
        table.add(name.replace("_", " "), plain(config[name]))
    parameters = Table("asked", f"Parameters of {config['model']}", ["parameter", "value"], result=False)
    for name, value in config["parameters"].items():
        parameters.add(name, Cell(plain(value)))
    return [table, *([parameters] if parameters.rows else [])]


def _subjects(account: Account) -> set[str]:
    return {p.subject for p in account.predictions}


def classes(account: Account) -> Table:
    """Samples and subjects of each class, by database where several are pooled."""
    config = account.run.config
    pooled = config["datasets"] if len(config["datasets"]) > 1 else []
    heads = [f"{name} {what}" for name in pooled for what in ("samples", "subjects")]
    what = "Action units" if account.units else "Classes"
    table = Table("classes", f"{what}: samples and subjects", [what.lower(), "samples", "subjects", *heads])
    for name in account.classes:
        mine = [p for p in account.predictions if name in (p.true.split("+") if account.units else [p.true])]
        table.add(name, *_counts(mine, pooled))
    table.add("all", *_counts(account.predictions, pooled), kind="all")
    return table


def _counts(predictions: list[Any], pooled: list[str]) -> list[int]:
    parts = [predictions, *([p for p in predictions if database(p.sample) == name] for name in pooled)]
    return [n for part in parts for n in (len(part), len({p.subject for p in part}))]


def left_out(account: Account) -> Table | None:
    """Samples that were not trained on, and why."""
    features = account.features
    table = Table("left-out", "Left out", ["why", "samples", "which"], result=False)
    by_label: dict[str, list[str]] = defaultdict(list)
    for sample, label in features.dropped.items():
        by_label[f"no class: {label or 'no annotation'}"].append(sample)
    for sample, reason in features.excluded.items():
        by_label[f"failed in extraction: {reason}"].append(sample)
    for why, samples in sorted(by_label.items()):
        table.add(why, len(samples), ", ".join(samples))
    return table if table.rows else None


def score_names(account: Account) -> tuple[str, ...]:
    """The scores that this run has."""
    return _OF_UNITS if account.units else _OF_CLASSES


def score_cells(account: Account, scores: Scores, intervals: bool = False) -> list[Cell]:
    """Its scores; with the intervals of what is reported, where F1 is UF1 and shares its interval."""
    names = score_names(account)
    found = account.metrics.intervals if intervals else {}
    spans = {**found, "F1": found.get("F1", found.get("UF1"))}
    return [number(getattr(scores, name) or 0.0, spans.get(name)) for name in names]


def scores(account: Account) -> Table:
    """Reported and oracle, by database, and what the paper prints."""
    metrics = account.metrics
    table = Table(
        "scores",
        f"Scores of {metrics.samples} samples, pooled over {metrics.folds} folds",
        ["", *score_names(account)],
        note=f"In brackets: 95 % intervals by a bootstrap over subjects. {'' if account.units else UF1 + '. '}"
        f"oracle: in each fold the epoch with most correct test predictions; no result, but how much choosing on "
        f"test data would flatter.",
    )
    table.add(account.basis, *score_cells(account, metrics, intervals=True))
    for name, part in metrics.datasets.items():
        table.add(f"of these, {name}", *score_cells(account, part))
    table.add(
        f"oracle ({metrics.oracle.note}), {metrics.weights}", *score_cells(account, metrics.oracle), kind="oracle"
    )
    table.rows.extend(paper_rows(account))
    if table.rows[-1].kind == "paper":
        return Table(table.name, table.caption, table.head, table.rows, f"{table.note} {PAPER}.")
    return table


def paper_rows(account: Account, empty: int = 0) -> list[Row]:
    """What the model's paper prints, labelled as the paper's; `empty` cells after the label."""
    found = []
    what = "action units" if account.units else "classes"
    for row in runs.printed(account.run):
        where = f"table {row.table} ({row.configuration}), {row.protocol}, {row.classes} {what}"
        parts = {f"{'+'.join(row.datasets)}: {where}": row.scores, **row.parts}
        for name, values in parts.items():
            label = f"paper, real {name}" if values is row.scores else f"of these, real {name}"
            cells = [_as_printed(values[n]) if n in values else Cell("") for n in score_names(account)]
            found.append(Row([Cell(label), *[Cell("")] * empty, *cells], "paper"))
    return found


def _as_printed(share: float) -> Cell:
    """Papers give percent with two digits: as many are shown."""
    return Cell(f"{share:.4f}", round(share, 6))


def by_class(account: Account) -> Table:
    """Each class or action unit, reported and oracle beside each other."""
    names = ("F1", "ACC") if account.units else ("F1", "precision", "recall")
    what = "action unit" if account.units else "class"
    table = Table(
        "by-class",
        f"Scores by {what} ({account.basis})",
        [what, "samples", *names, "oracle F1"],
        note=f"oracle: {account.metrics.oracle.note}.",
    )
    for name in account.classes:
        one = account.metrics.per_class.get(name, {})
        oracle = account.metrics.oracle.per_class.get(name, {}).get("F1", 0.0)
        values = [number(one.get(n, 0.0), bar=one.get(n, 0.0) if n == "F1" else None) for n in names]
        table.add(name, int(one.get("samples", 0)), *values, number(oracle))
    return table


def confusions(account: Account) -> list[Table]:
    """Confusion matrices, reported and oracle: a row per true class, coloured by its shares."""
    titles = {
        "confusion": (f"Confusion matrix: {account.basis}", account.metrics),
        "confusion-oracle": (f"oracle ({account.metrics.oracle.note}), {account.metrics.weights}",
                             account.metrics.oracle),
    }  # fmt: skip
    return [_confusion(name, *about, account.classes) for name, about in titles.items() if about[1].confusion]


def _confusion(name: str, caption: str, scores: Scores, names: list[str]) -> Table:
    table = Table(name, caption, ["true \\ predicted", *names])
    for label, counts in zip(names, scores.confusion or [], strict=False):
        total = max(1, sum(counts))
        table.add(label, *(Cell(f"{n} ({n / total:.0%})", n, colour=shade(n / total)) for n in counts))
    return table


def subjects(account: Account) -> Table:
    """Each subject's samples, right ones and mistakes."""
    table = Table(
        "subjects",
        f"Results by subject ({account.basis})",
        ["subject", "samples", "right", "share", "mistakes"],
        note="right: samples all of whose action units are." if account.units else "",
    )
    mine: dict[str, list[Any]] = defaultdict(list)
    for p in account.predictions:
        mine[p.subject].append(p)
    for subject, predictions in sorted(mine.items()):
        right = sum(p.right for p in predictions)
        wrong = Counter(f"{p.true or 'none'} → {p.predicted or 'none'}" for p in predictions if not p.right)
        mistakes = ", ".join(f"{what}{f' ({n})' if n > 1 else ''}" for what, n in sorted(wrong.items()))
        share = right / len(predictions)
        table.add(subject, len(predictions), right, number(share, bar=share), mistakes)
    return table
