"""MediaPipe's face mesh without pyplot, which only its drawings need and whose import takes half a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import LazyLoader, find_spec, module_from_spec


@contextmanager
def _put_off(name: str) -> Iterator[None]:
    """Who imports this module within gets one that is loaded when it is used; who imports it later, the module."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        yield
        return
    spec.loader = LazyLoader(spec.loader)
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    try:
        yield
    finally:
        del sys.modules[name]


with _put_off("matplotlib.pyplot"):
    from mediapipe.python.solutions import face_mesh

FaceMesh = face_mesh.FaceMesh
