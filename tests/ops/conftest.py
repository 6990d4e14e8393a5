from __future__ import annotations

from collections.abc import Iterator

import pytest

from mepipe.ops.landmarks import FaceMesh


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    """MediaPipe's face mesh, loaded once for a module."""
    with FaceMesh() as mesh:
        yield mesh
