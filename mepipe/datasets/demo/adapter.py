"""The demo as a database: its record says which layout it has, and that layout's adapter reads it."""

from __future__ import annotations

import json
from pathlib import Path

from mepipe.datasets import adapters
from mepipe.datasets.demo.writer import LAYOUTS, RECORD
from mepipe.datasets.findings import Release
from mepipe.errors import MepipeError

LICENCE = "Public-domain portraits and synthetic motion: free to use."
CITATION = "None needed: a demo is synthetic. Say so wherever a figure that was measured on it is shown."


def read(root: Path) -> Release:
    """The samples of a demo folder. MepipeError when `root` is not one."""
    try:
        layout = str(json.loads((root / RECORD).read_text(encoding="utf-8"))["layout"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{root} is not a demo: {RECORD} cannot be read ({error}). Make one with: mepipe demo {root}"
        raise MepipeError(msg) from None
    if layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        msg = f"{root / RECORD}: layout {layout!r} is unknown to this version (known: {known}). Update mepipe."
        raise MepipeError(msg)
    return adapters.load(layout).read(root)
