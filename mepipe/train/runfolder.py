"""The run folder: everything that a training was, and what it gave. It is resumed by fold.

config.json       what was asked for, resolved      folds/<fold>.json  what one fold gave, whole or absent
features.json     snapshot, feature keys, samples   predictions.csv    one row per sample
environment.json  versions, platform, git commit    metrics.json       over the pooled predictions of all folds
checkpoints/      on request: what training changed, a file per fold
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mepipe.errors import MepipeError
from mepipe.store import files
from mepipe.train.protocols import Fold

if TYPE_CHECKING:
    from torch import nn

_PACKAGES = ("mepipe", "numpy", "scikit-learn", "timm", "torch", "torchvision")


def to_json(content: object) -> str:
    """JSON as every file of a run folder has it: the same content, the same bytes."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """A file of a run folder; MepipeError when it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        msg = f"{path}: cannot be read as JSON ({error}). Delete it, and run the same command again."
        raise MepipeError(msg) from None


def environment() -> dict[str, Any]:
    """What the numbers may depend on besides configuration and features."""
    import torch

    return {
        "git_commit": _commit(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of the packages that compute."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def begin(folder: Path, config: Mapping[str, Any], features: Mapping[str, Any]) -> None:
    """Make a run folder, or take up one that was begun with the same configuration, features and versions.

    MepipeError where it was begun with others: it names what differs.
    """
    now = environment()
    given = {"config.json": config, "features.json": features, "environment.json": now}
    if (folder / "environment.json").exists():
        then = read_json(folder / "environment.json")
        found = [
            *differences(read_json(folder / "config.json"), json.loads(to_json(config))),
            *differences(read_json(folder / "features.json"), json.loads(to_json(features))),
            *differences(then["versions"], now["versions"]),
        ]
        if found:
            msg = (
                f"{folder} was begun otherwise: {'; '.join(found)}. "
                f"Name another folder with --run, or repeat the command that began this one."
            )
            raise MepipeError(msg)
        return
    files.make_folder(folder / "folds")
    for name, content in given.items():  # environment.json last: with it, the folder is begun
        files.write(folder / name, to_json(content).encode())


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What two files of run folders say otherwise, for a person."""
    keys = [k for k in sorted({*before, *after}) if before.get(k) != after.get(k)]
    return [f"{k} was {_short(before.get(k))}, is {_short(after.get(k))}" for k in keys]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _path(folder: Path, fold: Fold) -> Path:
    return folder / "folds" / f"{quote(fold.name, safe=' ')}.json"


def write_fold(folder: Path, fold: Fold, record: Mapping[str, Any]) -> None:
    """Keep what `folds.train_fold` gave, in one rename."""
    files.write(_path(folder, fold), to_json(record).encode())


def write_checkpoint(folder: Path, fold: Fold, learner: nn.Module) -> None:
    """Keep what training changed of a network: checkpoints/<fold>.safetensors. What is frozen is in its weights."""
    from safetensors.torch import save

    frozen = {name for name, p in learner.named_parameters() if not p.requires_grad}
    state = {k: v.detach().cpu().contiguous() for k, v in learner.state_dict().items() if k not in frozen}
    files.make_folder(folder / "checkpoints")
    files.write(_checkpoint(folder, fold), save(state))


def _checkpoint(folder: Path, fold: Fold) -> Path:
    return folder / "checkpoints" / f"{quote(fold.name, safe=' ')}.safetensors"


def read_checkpoint(folder: Path, fold: Fold, learner: nn.Module) -> None:
    """Fill in what `write_checkpoint` kept: all of it, and nothing else. MepipeError where it does not fit."""
    from safetensors.torch import load_file

    path, frozen = _checkpoint(folder, fold), {n for n, p in learner.named_parameters() if not p.requires_grad}
    try:
        missing, unexpected = learner.load_state_dict(load_file(path), strict=False)
        if wrong := sorted({*unexpected, *missing} - frozen):
            raise ValueError(", ".join(wrong))
    except Exception as error:  # torch and safetensors each raise what they like
        why = " ".join(str(error).split())[:200]
        msg = f"{path}: not what training left of fold {fold.name} ({type(error).__name__}: {why}). Train it again."
        raise MepipeError(msg) from error


def read_fold(folder: Path, fold: Fold, seed: int) -> dict[str, Any] | None:
    """What an earlier call kept of a fold, None where it did not come to it."""
    path = _path(folder, fold)
    if not path.exists():
        return None
    record = read_json(path)
    expected = (fold.name, fold.seed(seed), list(fold.train), list(fold.test))
    if not isinstance(record, dict) or expected != tuple(record.get(k) for k in ("fold", "seed", "train", "test")):
        msg = f"{path}: is of another fold or seed. Delete it, and run the same command again."
        raise MepipeError(msg)
    return record
