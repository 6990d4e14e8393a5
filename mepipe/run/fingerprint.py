"""Fingerprints: the identity of a sample's input, from the bytes of its frames and the manifest fields that are read.

Bytes are hashed once: a local index remembers the digest beside names, sizes and times of the files. The index
may be deleted at any moment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mepipe.datasets import clips
from mepipe.datasets.manifest import Sample
from mepipe.errors import SampleError
from mepipe.recipe.resolve import canonical

UNREADABLE = ""  # the digest of a clip that cannot be found; its task fails with the reason


def fingerprint(sample: Sample, frames: str, reads: Sequence[str]) -> str:
    """The identity of one sample's input for a feature that reads these manifest fields."""
    fields = {name: getattr(sample, name) for name in reads}
    return hashlib.blake2b(canonical({"frames": frames, "fields": fields}), digest_size=16).hexdigest()


def _index_file(root: Path) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "mepipe" / f"digests-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"


def _load_index(path: Path) -> dict[str, str]:
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return index if isinstance(index, dict) else {}


def _save_index(path: Path, index: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        private = path.with_suffix(f".{os.getpid()}.partial")
        private.write_text(json.dumps(index), encoding="utf-8")
        private.replace(path)
    except OSError:
        pass  # an index that cannot be kept costs time on the next run, nothing else


def frame_digests(samples: Sequence[Sample], root: Path, tick: Callable[[], object] = lambda: None) -> list[str]:
    """The digest of each sample's frames, in order; UNREADABLE where the clip cannot be found.

    tick: called after each sample.
    """
    path = _index_file(root)
    old = _load_index(path)

    def one(sample: Sample) -> tuple[str, str]:
        try:
            where = (root / sample.clip, sample.onset, sample.offset, sample.missing)
            signature = clips.signature(*where)
            digest = old.get(signature) or clips.digest(*where)
        except SampleError:
            signature, digest = "", UNREADABLE
        tick()
        return signature, digest

    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(one, samples))
    new = {signature: digest for signature, digest in pairs if digest}
    if new != old:
        _save_index(path, new)
    return [digest for _, digest in pairs]
