"""Pictures that a frozen encoder read before training (stage embed): found in the store again, and where it looks.

A model that reads embeddings never sees a picture. Where the store still holds it (no recipe keeps it unless asked),
the encoder's attention can be shown, and the evidence of a trained network traced through the encoder to its patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mepipe import weights
from mepipe.errors import MepipeError
from mepipe.explain.maps import Map, weighed
from mepipe.models import attending
from mepipe.models.learner import Learner
from mepipe.networks.clip_image import MEAN, SIZES, STD, ImageEncoder, image_encoder, prepare
from mepipe.ops import flow_picture
from mepipe.store import Store
from mepipe.store.feature import Feature

if TYPE_CHECKING:
    from mepipe.train.selection import Selection

# Of an embedding of length 10 or so: another device and other threads round otherwise.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class Branch:
    """An input of a sample that stage embed made: its feature, and the one that holds the picture it was made of."""

    node: str
    embedded: Feature
    pictures: Feature
    sample: str

    @property
    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = self.embedded.attributes["lineage"]["params"]
        return params

    @property
    def ends(self) -> bool:
        """Whether it holds embeddings, so that the whole encoder was at work; else tokens."""
        return bool(self._params["cut"] == "embedding")

    @property
    def encoder(self) -> ImageEncoder:
        """As the stage had it."""
        name, random = self._params["model"], self._params["weights"] == "random"
        return _encoder(name, None if random else weights.locate(name))

    def prepared(self) -> Tensor:
        """The picture as the encoder takes it, [1, 3, S, S]."""
        array = self.pictures[self.sample][-1]
        if self.pictures.dims[-1] == "channel":
            levels = self.pictures.dtype == np.uint8 or "255" in str(self.pictures.attributes.get("units", ""))
            image = array.astype(np.float32) / np.float32(255 if levels else 1)
        else:
            image = flow_picture.picture(array.astype(np.float32), self._params["picture"])
        return prepare(torch.from_numpy(np.ascontiguousarray(image)), SIZES[self._params["model"]].image)

    def seen(self) -> np.ndarray:
        """The picture for the eye, [S, S, 3] in 0..1."""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        found: np.ndarray = (self.prepared()[0] * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()
        return found

    @torch.no_grad()
    def entering(self) -> Tensor:
        """Tokens of the picture as they enter the last layer. MepipeError where it is not what was embedded."""
        tokens = self.encoder.tokens(self.prepared(), len(self.encoder.transformer.resblocks) - 1)
        away = float((self.embedding(tokens)[0] - torch.from_numpy(self.embedded[self.sample]).float()).abs().max())
        if away > TOLERANCE:
            msg = (
                f"{self.pictures.path}, {self.sample}: its embedding is not the one in {self.embedded.path} (off by "
                f"{away:.2g}). Run: mepipe store verify --deep"
            )
            raise MepipeError(msg)
        return tokens

    def embedding(self, tokens: Tensor) -> Tensor:
        """What the encoder makes of tokens that enter its last layer: [B, D]."""
        return self.encoder.projected(self.encoder.transformer.resblocks[-1](tokens)[:, :1])[:, 0]

    @torch.no_grad()
    def attention(self) -> Map:
        """Of the class token in the last layer (HCP_MER, figure 6). The encoder is frozen: no fold changes it."""
        rows = attending.of_clip(self.encoder.transformer.resblocks[-1], self.entering())
        values: np.ndarray = attending.square(rows[0, 0, 1:]).numpy()
        return Map(f"{self.node}: class token, frozen CLIP", "share of attention", values)


@lru_cache(maxsize=2)
def _encoder(name: str, file: Path | None) -> ImageEncoder:
    return image_encoder(name, file).requires_grad_(False)


def branches(store: Store, selection: Selection, nodes: Sequence[str], sample: str) -> list[Branch | None]:
    """For each node that a model reads, where its pictures are; None where none were embedded, or they are not kept."""
    found = []
    for node, mine in zip(nodes, _features(selection, sample), strict=True):
        name = _local(selection, sample)[1]
        pictures = _made_from(store, mine, name)
        found.append(None if pictures is None else Branch(node, mine, pictures, name))
    return found


def commands(store: Store, selection: Selection, recipe: str, sample: str) -> list[str]:
    """What puts the pictures of a sample's dataset into the store, as far as they were embedded and are not there."""
    dataset, name = _local(selection, sample)
    lacking = [
        mine.attributes["lineage"]["upstream"]["stage"]
        for mine in _features(selection, sample)
        if _embedded(mine) and _made_from(store, mine, name) is None
    ]
    return [f"mepipe {stage} --dataset {dataset} --recipe {recipe}" for stage in lacking]


def _local(selection: Selection, sample: str) -> tuple[str, str]:
    """Dataset and id within it; pooled, a sample bears its dataset's name."""
    dataset, _, name = sample.partition("/")
    return (dataset, name) if len(selection.datasets) > 1 else (selection.datasets[0], sample)


def _features(selection: Selection, sample: str) -> list[Any]:
    """What a model read, of the sample's dataset."""
    found: list[Any] = list(selection.features.values())
    if len(selection.datasets) == 1:
        return found
    return [feature.features[_local(selection, sample)[0]] for feature in found]


def _embedded(feature: Feature) -> bool:
    """By stage embed, of what another stage made."""
    lineage = feature.attributes.get("lineage")  # of an imported feature it is a text
    return isinstance(lineage, dict) and lineage["stage"] == "embed" and isinstance(lineage["upstream"], dict)


def _made_from(store: Store, feature: Feature, sample: str) -> Feature | None:
    if not _embedded(feature):
        return None
    lineage = feature.attributes["lineage"]
    for other in store.of(feature.path.split("/")[0]):
        if other.attributes.get("lineage") == lineage["upstream"] and other.states.of(sample) == "done":
            return other
    return None


def evidence(found: Sequence[Branch], learner: Learner, target: int) -> list[Tensor]:
    """Grad-CAM of one logit through learner and encoders: of each branch, a map of what enters the last layer."""
    tokens = [branch.entering().requires_grad_() for branch in found]
    with torch.enable_grad():
        logits = learner(*(branch.embedding(t) for branch, t in zip(found, tokens, strict=True)))
    gradients = torch.autograd.grad(logits[0, target], tokens)
    return [
        weighed(*(attending.maps(x[:, 1:]) for x in (t.detach(), g)))[0] for t, g in zip(tokens, gradients, strict=True)
    ]
