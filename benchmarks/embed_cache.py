"""An epoch with and without what is cached of frozen networks: computed once per sample, not once per epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.tables import Asked, Report, Table
from benchmarks.timing import HEADER, Runs, faster, rows, timed
from mepipe import store
from mepipe.models import configs, hcp_mer, mer_clip, micro_au_clip
from mepipe.models.learner import Learner, Schedule
from mepipe.networks import clip
from mepipe.networks.clip_image import ImageEncoder, image_encoder
from mepipe.store import layout
from mepipe.store.feature import Feature
from mepipe.store.ledger import Record

TITLE = "Cached embeddings"
_TEXT = """\
An epoch of {count} samples at full size, random weights, random numbers as pictures, one thread. Without the cache,
frozen networks run on every sample in every epoch; with it, what they make of a sample is read from the store, anew in
every epoch (a training reads it once, and keeps it in memory). Magnification and flow, which come before, are left out
of both. Medians of {rounds} rounds, all rows of a table in turn; times faster: of CPU time, within a round."""
_CLASSES = ("negative", "positive", "surprise")
_UNITS = (1, 2, 4, 7, 12, 14, 15, 17)


def run(quick: bool = False) -> Report:
    """Eight samples and five rounds; when `quick` four and one."""
    count, rounds = (4, 1) if quick else (8, 5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
            image, whole = _hcp_mer(count, Path(name))
            half, step = _micro_au(count, Path(name))
            images = timed(image, rounds)
            tables = [
                Table("HCP_MER: its two pictures of a sample, by CLIP ViT-B/32", HEADER, rows(images)),
                Table("HCP_MER: the same and the training step", HEADER, rows(timed(whole, rounds)), _PROMPTS),
                Table("Micro-AU CLIP: its image half", HEADER, rows(timed(half, rounds)), _LAST),
                Table("Micro-AU CLIP: the whole training step", HEADER, rows(timed(step, rounds))),
                Table("MER-CLIP: its texts, by CLIP ViT-B/16", HEADER, rows(timed(_texts(count), rounds)), _READ),
            ]
    finally:
        torch.set_num_threads(threads)
    asked = [Asked("HCP_MER's image side, cached: times faster", faster(images, "cached", 50).measured, ">=", 50)]
    return Report(TITLE, _TEXT.format(count=count, rounds=rounds), tables, asked)


_PROMPTS = "Prompts are learned through the text encoder, which no cache spares it."
_LAST = "Cached are tokens after nine of the twelve layers of CLIP ViT-B/32; three run, forth and back, for training."
_READ = "An epoch reads a text for each sample; cached, each is read once per process, which is not in the time."


def _pictures(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def _hcp_mer(count: int, folder: Path) -> tuple[Runs, Runs]:
    """The images' embeddings, and these with the training step."""
    encoder = image_encoder("clip-vit-b32", None).requires_grad_(False)
    pictures = [_pictures(count, seed) for seed in (0, 1)]

    def embedded() -> list[Tensor]:
        with torch.no_grad():
            return [encoder(x) for x in pictures]

    kept = [_stored(values, folder / f"hcp-{n}") for n, values in enumerate(embedded())]
    config: Any = configs.choose("hcp-mer")
    net = hcp_mer.build(config, _CLASSES, {}, 0)()
    step = _training(net, hcp_mer.schedule(config), torch.arange(count) % len(_CLASSES))
    image: Runs = {"every epoch": embedded, "cached": lambda: [_read(one) for one in kept]}
    return image, {"every epoch": lambda: step(embedded()), "cached": lambda: step([_read(one) for one in kept])}


def _micro_au(count: int, folder: Path) -> tuple[Runs, Runs]:
    """On tokens that the frozen layers make anew, and on stored ones: the trained layers alone, and training steps."""
    config: Any = configs.choose("micro-au-clip")
    encoder: ImageEncoder = image_encoder(config.backbone, None).requires_grad_(False)
    frozen = len(encoder.transformer.resblocks) - config.trained
    pictures, places = _pictures(count, 0), torch.arange(68 * count).view(count, 68) % 49

    def tokens() -> Tensor:
        with torch.no_grad():
            return encoder.tokens(pictures, frozen)

    kept = _stored(tokens(), folder / "au", "float16")
    net = micro_au_clip.build(config, [f"AU{unit}" for unit in _UNITS], {}, 0)()
    labels = (torch.arange(len(_UNITS) * count).view(count, -1) % 3 == 0).float()
    step = _training(net, micro_au_clip.schedule(config), labels)

    def half(given: Tensor) -> None:
        net.image(given).sum().backward()

    image: Runs = {"every epoch": lambda: half(tokens()), "cached": lambda: half(_read(kept))}
    return image, {"every epoch": lambda: step([tokens(), places]), "cached": lambda: step([_read(kept), places])}


def _texts(count: int) -> Runs:
    """Features of a text for each sample, no two alike, of the length that prompts have."""
    encoder = clip.text_encoder("clip-vit-b16", None)
    said = [
        f"the movement of this face is a combination of raising brow {n} and pulling the lips" for n in range(count)
    ]
    ids, texts = clip.tokens(said), mer_clip.Texts(encoder)

    def read() -> Tensor:
        with torch.no_grad():
            return encoder(ids[:, : int(ids.argmax(dim=1).max()) + 1])

    return {"every epoch": read, "cached": lambda: texts(ids)}


def _training(net: Learner, schedule: Schedule, labels: Tensor) -> Callable[[list[Tensor]], None]:
    """A training step on a batch, as `folds.train_fold` takes it."""
    optimiser = schedule.make(net.train())
    schedule.set_rate(optimiser, 0)

    def step(inputs: list[Tensor]) -> None:
        optimiser.zero_grad()
        net.objective(tuple(inputs), labels, 0.0).backward()
        optimiser.step()

    return step


def _stored(values: Tensor, folder: Path, dtype: str = "float32") -> Feature:
    """Values [sample, ...] in a store of their own, which they are read from as they would be."""
    opened = store.create(folder)
    ids = [f"s{n:02d}" for n in range(len(values))]
    snapshot = layout.create_snapshot(opened.place, "bench", [{"id": one, "frames": one} for one in ids])
    dims = ("token", "channel")[2 - (values.ndim - 1) :]
    spec = layout.FeatureSpec(
        folder="values-00000000",
        dims=dims,
        shape=tuple(values.shape[1:]),
        dtype=dtype,
        channels=(),
        positions=None,
        varying=False,
        attributes={"units": "1"},
    )
    layout.create_feature(opened.place, snapshot, ids, spec)
    feature = opened.feature(f"{snapshot}/{spec.folder}")
    written = zip(ids, values.numpy().astype(dtype), strict=True)
    feature.ledger.append([Record(one, "done", "f", digest=feature.write(one, array)) for one, array in written])
    return opened.feature(f"{snapshot}/{spec.folder}")


def _read(feature: Feature) -> Tensor:
    return torch.from_numpy(np.stack([feature[n] for n in range(len(feature))])).float()
