"""Laboratories, one for each test module that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Six samples, all of which succeed."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Path:
    """A store that nothing happened to."""
    store = lab.folder / "whole"
    lab.complete(store)
    return store
