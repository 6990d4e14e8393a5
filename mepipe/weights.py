"""Named weights: which there are, where they come from, under which licence; located, and checked by digest.

A file of weights lies in the weights folder (`weights` in mepipe.toml, MEPIPE_WEIGHTS) under the name it was published
with, whatever its format, or comes with mepipe. A file in the folder is used before the one that comes with mepipe.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mepipe import settings
from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest
from mepipe.published import WEIGHTS, Weights

if TYPE_CHECKING:
    from torch import nn

_SHIPPED = Path(__file__).parent / "networks" / "trained"


def get(name: str) -> Weights:
    """What is known of the weights of that name; UsageError names the nearest where there are none."""
    if name not in WEIGHTS:
        msg = f"No weights {name!r}.{nearest(name, WEIGHTS)} Weights: {', '.join(WEIGHTS)}."
        raise UsageError(msg)
    return WEIGHTS[name]


def find(name: str) -> Path | None:
    """Where the file is, unchecked: in the weights folder, else in mepipe itself, else nowhere."""
    weights = get(name)
    places = [settings.load().weights, *([_SHIPPED] if weights.shipped else [])]
    return next((folder / weights.file for folder in places if (folder / weights.file).is_file()), None)


def locate(name: str) -> Path:
    """The file of named weights, its digest as published.

    UsageError, where it is missing, says which, from where and where to; MepipeError, where it is another than the
    published one, gives both digests.
    """
    weights = get(name)
    file = find(name)
    if file is None:
        msg = f"No weights {name!r}: no {weights.file} in {settings.load().weights.absolute()}. {_how(weights)}"
        raise UsageError(msg)
    _check(weights, file, str(file))
    return file


def _how(weights: Weights) -> str:
    if weights.shipped:
        return "They come with mepipe: install it again."
    source = f"Get them from {weights.origin} (licence: {weights.licence})"
    fetched = f"run mepipe weights fetch {weights.name}, or " if weights.url else ""
    return f"{source}: {fetched}download {weights.file} and run mepipe weights add {weights.name} FILE."


def digest(name: str) -> str:
    """SHA-256 of the file of named weights, in hexadecimal; read once per process unless the file changes."""
    return _sha256(locate(name))


def _sha256(file: Path) -> str:
    state = file.stat()
    return _sha256_of(file, state.st_mtime_ns, state.st_size)


@lru_cache
def _sha256_of(file: Path, mtime_ns: int, size: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check(weights: Weights, file: Path, source: str) -> None:
    """MepipeError where the file, from `source`, is not the published one."""
    if weights.sha256 and not (found := _sha256(file)).startswith(weights.sha256):
        known = f"{'begins with ' if len(weights.sha256) < 64 else 'is '}{weights.sha256}"
        msg = (
            f"{source} is not the published {weights.file} of {weights.name!r}: its SHA-256 is {found}, and that of "
            f"the published file {known}. Get that from {weights.url or weights.origin}."
        )
        raise MepipeError(msg)


def module(name: str, device: str = "cpu") -> nn.Module:
    """The network of named weights on a device: eval mode, without gradients; loaded once per process.

    Errors as of `locate`, and MepipeError where the file is no checkpoint of the network.
    """
    return _module(get(name).network, locate(name), digest(name), device)


@lru_cache(maxsize=4)  # the largest takes 0.65 GB
def _module(network: str, file: Path, digest: str, device: str) -> nn.Module:
    from mepipe import networks

    return networks.load(network, file).requires_grad_(False).to(device)


def add(name: str, file: Path) -> Path:
    """Copy a file into the weights folder as the weights of that name: where it is then.

    It is the published one where that is known, and it loads into its network; else an error, and nothing is changed.
    """
    weights = get(name)
    if not file.is_file():
        msg = f"No checkpoint file at {file}. Correct the path."
        raise UsageError(msg)
    return _add(weights, file, str(file))


def _add(weights: Weights, file: Path, source: str) -> Path:
    from mepipe import networks
    from mepipe.store import files

    _check(weights, file, source)
    if weights.network:
        networks.load(weights.network, file)
    folder = files.make_folder(settings.load().weights)
    final, private = folder / weights.file, files.private_name(folder / weights.file)
    try:
        shutil.copyfile(file, private)
        if _sha256(private) != _sha256(file):
            msg = f"{source} changed, or was cut short, while it was copied to {final}. Try again."
            raise MepipeError(msg)
        private.chmod(files.SHARED_FILE)
        files.flush(private)
        private.replace(final)
    finally:
        private.unlink(missing_ok=True)
    files.flush(folder)
    return final


def fetch(name: str, progress: bool = False) -> Path:
    """Download named weights into the weights folder, checked as `add` does: where they are then.

    UsageError where they have no direct download; MepipeError where it fails.
    """
    import pooch
    from requests import RequestException

    from mepipe.store import files

    weights = get(name)
    if not weights.url:
        msg = f"Weights {name!r} have no direct download. {_how(weights)}"
        raise UsageError(msg)
    pooch.get_logger().setLevel("ERROR")  # it would recommend pinning the digest, which is checked below
    folder = files.make_folder(settings.load().weights)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=folder) as private:
        try:
            got = pooch.retrieve(weights.url, None, weights.file, private, progressbar=progress)
        except (RequestException, OSError) as error:
            msg = (
                f"{weights.url} could not be downloaded ({error}). Try again, or download it elsewhere and run "
                f"mepipe weights add {name} FILE."
            )
            raise MepipeError(msg) from error
        return _add(weights, Path(got), weights.url)
