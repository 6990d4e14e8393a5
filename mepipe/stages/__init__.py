"""Declarations: one module per stage, its parameters and its function. Reading them explains the pipeline.

A laboratory's own stages may lie in folders of their own, named by MEPIPE_STAGES (as PATH is written).
"""

import os
import pkgutil
from pathlib import Path

__path__.extend(folder for folder in os.environ.get("MEPIPE_STAGES", "").split(os.pathsep) if folder)


def names() -> list[str]:
    """The names of all stages, without importing any: one module is one stage."""
    modules = (m.name for m in pkgutil.iter_modules(__path__))
    return sorted(m.replace("_", "-") for m in modules if m != "declare")


def summary(name: str) -> str:
    """The first line of a stage's module, read without importing it."""
    file = f"{name.replace('-', '_')}.py"
    source = next(p for folder in __path__ if (p := Path(folder) / file).exists())
    return source.read_text(encoding="utf-8").split('"""', 2)[1].splitlines()[0].strip()
