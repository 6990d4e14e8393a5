"""Run folders as trainings leave them, of predictions that a test chose, by the functions that write real ones."""

from mepipe.train import results, runfolder
from mepipe.train.protocols import Fold
from mepipe.train.selection import Selection

CONFIG = {
    "model": "mpt", "configuration": "paper", "parameters": {"epochs": 2, "lr": 0.001}, "datasets": ["demo"],
    "protocol": "loso", "scheme": "cde-3 (demo)", "weights": None, "texts": {}, "recipe": None, "seed": 0,
    "device": "cpu", "hold_out": 0.0,
}  # fmt: skip
CLASSES = ("negative", "positive", "surprise")
MAP = {"path": "demo@00000000/motion-map-0a0a0a0a", "key": "0a" * 32}
READ = {"snapshot": "demo@00000000", "features": {"motion-map": MAP}}


def write_run(
    folder, epochs, *, true, subjects, classes=CLASSES, config=None, weights="from scratch", losses=False, read=READ
):
    """epochs: the labels predicted after each, by sample id, as true ones and subjects. losses: trained by steps."""
    asked = {**CONFIG, "classes": list(classes), **(config or {})}
    read = {"demo": read} if "snapshot" in read else read
    chosen = Selection(
        tuple(asked["datasets"]), asked["scheme"], tuple(classes), {}, dict(true), dict(subjects), {}, {}, {}, read, {},
        {"left_1": "Other"},
    )  # fmt: skip
    runfolder.begin(folder, asked, chosen.record())
    records = []
    for who in sorted(set(subjects.values())):
        test = [s for s in true if subjects[s] == who]
        fold = Fold(who, tuple(s for s in true if subjects[s] != who), tuple(test))
        record = {
            "fold": who, "seed": 0, "train": list(fold.train), "test": test, "labels": [_plain(true[s]) for s in test],
            "losses": [1 / (n + 1) for n in range(len(epochs))] if losses else [],
            "predicted": [[_plain(guess[s]) for s in test] for guess in epochs],
            "probabilities": [_chances(epochs[-1][s], len(classes)) for s in test],
        }  # fmt: skip
        runfolder.write_fold(folder, fold, record)
        records.append(record)
    return results.finish(folder, records, chosen, "a title", weights)


def _plain(label):
    return list(label) if isinstance(label, tuple) else label


def _chances(label, classes):
    if isinstance(label, tuple):
        return [0.9 if there else 0.1 for there in label]
    return [0.8 if c == label else 0.2 / (classes - 1) for c in range(classes)]
