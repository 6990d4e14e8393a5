"""Settings: where things are on this machine. From mepipe.toml, MEPIPE_* variables and options, each over the last.

They are not part of a recipe and never change a key.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mepipe.errors import UsageError
from mepipe.recipe.model import explain

FILE = "mepipe.toml"


class Settings(BaseModel):
    """What mepipe.toml may say. Relative paths are relative to that file.

    roots: where each database's release lies, by dataset name. device: where stages compute that can choose, "cpu"
        or a CUDA device that Torch sees ("cuda", "cuda:1").
        upstream: a store, only read, from which extract takes what it would compute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = "cache/features.zarr"
    manifests: Path = Path("manifests")
    runs: Path = Path("runs")
    weights: Path = Path("cache/weights")
    device: str = "cpu"
    upstream: str = ""
    roots: dict[str, Path] = Field(default_factory=dict)

    def root(self, dataset: str) -> Path:
        """The root of a dataset's release; UsageError says how to name it."""
        as_variable = dataset.lower().replace("-", "_")  # a variable's name has neither hyphens nor small letters
        if dataset not in self.roots and as_variable not in self.roots:
            variable = f"MEPIPE_ROOT_{dataset.upper().replace('-', '_')}"
            msg = (
                f"Where is the release of {dataset!r}? Say --root DIR, set {variable}, "
                f'or write into {FILE}:\n\n    [roots]\n    {dataset} = "/where/it/lies"'
            )
            raise UsageError(msg)
        return self.roots[dataset if dataset in self.roots else as_variable]

    def manifest(self, dataset: str) -> Path:
        """The manifest file of a dataset."""
        return self.manifests / f"{dataset}.csv"


def load() -> Settings:
    """The settings of the working folder: mepipe.toml there or in a folder above, under MEPIPE_* variables."""
    here = Path.cwd()
    path = next((p / FILE for p in (here, *here.parents) if (p / FILE).is_file()), None)
    values: dict[str, Any] = {}
    if path:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            msg = f"{path}: not TOML ({error})."
            raise UsageError(msg) from None
    roots = dict(values.get("roots") or {})
    for name, value in os.environ.items():
        if name.startswith("MEPIPE_ROOT_"):
            roots[name.removeprefix("MEPIPE_ROOT_").lower()] = str(Path(value).absolute())
        elif name == "MEPIPE_UPSTREAM" and value in ("", "none"):
            values["upstream"] = ""
        elif name in ("MEPIPE_STORE", "MEPIPE_UPSTREAM", "MEPIPE_MANIFESTS", "MEPIPE_RUNS", "MEPIPE_WEIGHTS"):
            here_now = value if "://" in value else str(Path(value).absolute())
            values[name.removeprefix("MEPIPE_").lower()] = here_now
        elif name == "MEPIPE_DEVICE":
            values["device"] = value
    try:
        settings = Settings.model_validate({**values, "roots": roots})
    except ValidationError as error:
        raise UsageError(f"{path or 'MEPIPE_* variables'}: {explain(error, Settings)}") from None
    return _anchored(settings, path.parent if path else None)


def _anchored(settings: Settings, folder: Path | None) -> Settings:
    if folder is None or folder == Path.cwd():
        return settings
    return settings.model_copy(
        update={
            **{n: _anchored_url(getattr(settings, n), folder) for n in ("store", "upstream")},
            "manifests": folder / settings.manifests,
            "runs": folder / settings.runs,
            "weights": folder / settings.weights,
            "roots": {name: folder / root for name, root in settings.roots.items()},
        }
    )


def _anchored_url(url: str, folder: Path) -> str:
    return url if not url or "://" in url else str(folder / url)
