"""mepipe doctor."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mepipe.cli import common
from mepipe.errors import MepipeError, UsageError

if TYPE_CHECKING:
    from mepipe.settings import Settings

EXTRACT = ("mediapipe", "numba", "opencv-contrib-python", "openpyxl", "python-calamine", "scikit-image")
TRAIN = ("torch", "torchvision", "safetensors", "timm")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. mend: what to do where it is not well; empty where it is."""

    what: str
    found: str
    mend: str = ""


@click.command("doctor", epilog="Exit status 1: something is lacking.")
@common.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine lacks, and how to get it."""
    from mepipe import settings

    config = settings.load()
    machine = [_python(), *_packages(), *_opencv(), _face_model(), _gpu(config.device)]
    checks = [*machine, _store("store", config.store), *_roots(config)]
    if config.upstream:
        checks.append(_store("upstream", config.upstream))
    if as_json:
        click.echo(json.dumps([asdict(c) for c in checks], indent=1))
    else:
        for check in checks:
            mark = click.style("lacks", fg="red") if check.mend else click.style("   ok", fg="green")
            click.echo(f"{mark}  {check.what}: {check.found}")
            if check.mend:
                click.echo(f"         {check.mend}")
    ctx.exit(1 if any(c.mend for c in checks) else 0)


def _python() -> Check:
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    mend = "" if good else "Use Python 3.11 or 3.12: mediapipe has no wheel for others."
    return Check("Python", platform.python_version(), mend)


def _packages() -> Iterator[Check]:
    for extra, names in (("extract", EXTRACT), ("train", TRAIN)):
        for name in names:
            try:
                yield Check(name, distribution(name).version)
            except PackageNotFoundError:
                yield Check(name, "not installed", f"pip install -c constraints.txt 'mepipe[{extra}]'")


def _opencv() -> Iterator[Check]:
    wheels = sorted({d.name for d in distributions() if (d.name or "").startswith("opencv")})
    if len(wheels) > 1:
        mend = "They overwrite each other. pip uninstall all of them, then pip install opencv-contrib-python alone."
        yield Check("OpenCV wheels", ", ".join(wheels), mend)
    try:
        import cv2
    except ImportError as error:
        yield Check("OpenCV", f"cannot be imported ({error})", "On Debian and Ubuntu: apt install libgl1 libglib2.0-0")
        return
    has = hasattr(cv2, "optflow")
    yield Check("cv2.optflow", "present" if has else "absent", "" if has else "Install opencv-contrib-python alone.")


def _face_model() -> Check:
    try:
        from mepipe.ops.landmarks import FaceMesh

        with FaceMesh():
            return Check("face mesh", "loads, offline")
    except MepipeError:  # MediaPipe has none of its own since 0.10.30
        return _face_landmarker()
    except Exception as error:
        mend = "pip install -c constraints.txt 'mepipe[extract]'"
        return Check("face mesh", f"{type(error).__name__}: {error}", mend)


def _face_landmarker() -> Check:
    from mepipe import weights
    from mepipe.ops.landmarker_task import FaceLandmarker

    what, name = "face landmarker", "face-landmarker"
    if weights.find(name) is None:
        mend = f"mepipe weights fetch {name}, or download them elsewhere and mepipe weights add {name} FILE"
        return Check(what, f"this MediaPipe has no face mesh, and there are no weights {name}", mend)
    try:
        FaceLandmarker(weights.locate(name)).close()
    except Exception as error:
        return Check(what, f"{type(error).__name__}: {error}", f"Remove them, and mepipe weights fetch {name}")
    return Check(what, f"loads, offline; recipes say, under align, landmarker: {name}")


def _gpu(wanted: str) -> Check:
    from mepipe.run import devices

    try:
        devices.check(wanted)
    except UsageError as error:
        return Check("GPU", str(error).splitlines()[0], "Set device = 'cpu' in mepipe.toml or MEPIPE_DEVICE.")
    return Check("GPU", devices.seen() + ("" if devices.count() else "; everything works on the CPU"))


def _store(what: str, url: str) -> Check:
    """A folder is written to, as a store's promises need it; what lies elsewhere, and upstream, are only asked."""
    from mepipe.store import place

    mend = f"Name another in mepipe.toml or MEPIPE_{what.upper()}."
    try:
        there = place.at(url)
        if isinstance(there, place.Folder) and what == "store":
            return _folder(there.root)
        found = there.exists("zarr.json")
    except MepipeError as error:
        return Check(what, str(error), mend)
    except OSError as error:
        return Check(what, f"{url}: {error.strerror}", mend)
    if what == "upstream" and not found:
        return Check(what, f"{url} has no store", mend)
    return Check(what, f"{url} {'is there' if found else 'can be reached; no store is there yet'}")


def _folder(store: Path) -> Check:
    folder = next(p for p in (store, *store.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryDirectory(dir=folder) as private:
            file = Path(private) / "a"
            file.write_bytes(b"mepipe")
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            (Path(private) / "b").mkdir()
            (Path(private) / "b").rename(Path(private) / "c")
    except OSError as error:
        return Check("store", f"{store}: {error.strerror}", "Name a folder that can be written: --store, MEPIPE_STORE.")
    return Check("store", f"{store} can be written, flushed and renamed in")


def _roots(config: Settings) -> Iterator[Check]:
    for name, root in config.roots.items():
        there = root.is_dir()
        mend = "" if there else f"Mount it, or correct [roots] {name} in mepipe.toml."
        yield Check(f"release of {name}", str(root) if there else f"{root} is not there", mend)
