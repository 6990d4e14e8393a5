"""Which databases can be read: one module each, with `read(root) -> Release`, imported when asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from mepipe.datasets.findings import Release
from mepipe.errors import UsageError
from mepipe.names import nearest

ADAPTERS: dict[str, str] = {
    "demo": "mepipe.datasets.demo.adapter",
    "samm": "mepipe.datasets.samm",
    "casme2": "mepipe.datasets.casme2",
    "smic": "mepipe.datasets.smic",
    "casme3": "mepipe.datasets.casme3",
    "dfme": "mepipe.datasets.dfme",
}


class Adapter(Protocol):
    """What an adapter module offers. `read` raises MepipeError when nothing at `root` can be read at all."""

    LICENCE: str
    CITATION: str

    def read(self, root: Path) -> Release: ...


def load(name: str) -> Adapter:
    """The adapter of a database. UsageError for an unknown name, with the nearest known one."""
    if name not in ADAPTERS:
        msg = (
            f"No adapter for a database named {name!r}.{nearest(name.lower(), ADAPTERS)} Known: {', '.join(ADAPTERS)}."
        )
        raise UsageError(msg)
    return cast(Adapter, import_module(ADAPTERS[name]))
