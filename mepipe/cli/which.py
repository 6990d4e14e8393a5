"""What a command is about, where its user has named it, or need not: database, sample, runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mepipe.errors import UsageError
from mepipe.names import nearest

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.feature import Feature


def dataset(store: Store, named: str | None) -> str:
    """The database that was named, or the only one in the store; UsageError where there are several."""
    known = store.datasets()
    if named is None and len(known) != 1:
        msg = f"Which database? Say --dataset NAME. {store.url} has: {', '.join(known) or 'none'}."
        raise UsageError(msg)
    return named or known[0]


def sample(feature: Feature, dataset: str, named: str) -> None:
    """UsageError, with the nearest, where there is no such sample."""
    if named not in feature.ids:
        msg = f"No sample {named!r} in {dataset}.{nearest(named, feature.ids)}"
        raise UsageError(msg)


def runs(names: Sequence[str]) -> list[Path]:
    """Run folders by path, or by name in the folder of runs; each once."""
    from mepipe import settings

    root = settings.load().runs
    return list(dict.fromkeys(Path(name) if Path(name).is_dir() else root / name for name in names))
