"""Micro-AU CLIP: action units of micro-expressions from optical flow and texts (paper: "Micro-AU CLIP: Fine-Grained
Contrastive Learning from Local Independence to Global Dependency for Micro-Expression Action Unit Detection").

A picture of the flow from onset to apex, of frames magnified by a network, has gone through the frozen layers of CLIP's
image half; its tokens come from the store. The last layers are trained here. Each unit sees the patches in which its
own landmarks lie, and all units together; its feature is compared with two texts, of the unit active and not.

Landmarks are of the onset: `align` has brought the apex onto it, and what the expression itself moves is far below a
patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.errors import MepipeError
from mepipe.models import attending, prompts
from mepipe.models import micro_au_clip_losses as losses
from mepipe.models import micro_au_clip_parts as parts
from mepipe.models.configs.micro_au_clip import MicroAUConfig
from mepipe.models.declare import Also, Feature, Model
from mepipe.models.learner import Learner, Schedule
from mepipe.models.micro_au_clip_emotions import CATEGORIES, nearness
from mepipe.models.similarity import Matrix, between, grouped, of_pairs, whole
from mepipe.networks import clip
from mepipe.networks.clip_image import SIZES, ImageEncoder, image_encoder
from mepipe.networks.clip_parts import TextEncoder
from mepipe.ops.landmarks import to_68

TOKENS, LANDMARKS = "flow.tokens", "landmarks"


class MicroAUCLIP(Learner):
    """Tokens [B, 1 + patches, width] and the patch of each of 68 landmarks [B, 68] -> a logit for each unit [B, A].

    A logit is the difference of the two scores of eq. 7, whose softmax is its sigmoid. Each unit has a perceptron of
    its own in pooling and in the end ("explicitly separated pipelines").
    """

    def __init__(self, image: ImageEncoder, text: TextEncoder, units: Sequence[int], config: MicroAUConfig) -> None:
        super().__init__()
        self.config, self.units = config, tuple(units)
        self.frozen_text = (text,)  # not trained and shared between folds: no part of this network's state
        self.image = parts.ImageTail(image, config.trained)
        self.text = parts.TextTail(text, config.trained).requires_grad_(config.train_text and config.contrast != "none")
        said = [line for pair in prompts.unit_texts(units) for line in reversed(pair)]  # not active, active
        tokens, ends = parts.before(text, clip.tokens(said), config.trained)
        self.register_buffer("texts", tokens, persistent=False)
        self.register_buffer("ends", ends, persistent=False)
        self.regions = parts.regions(units) if config.local else ()
        width, count = image.proj.shape[1], len(units)

        def pool() -> nn.Module:
            if not config.local:  # the class token, looked at by each unit in its own way
                return nn.Linear(width, width)
            if config.pool == "attention":
                return parts.PatchAttention(width, config.hidden)
            return parts.Pool(config.pool == "max")

        self.pools = nn.ModuleList(pool() for _ in units)
        self.shared: nn.Module | None = None
        if config.dependency == "attention":
            self.shared = parts.GlobalAttention(count, width)
        elif config.dependency != "none":
            self.shared = parts.Joined(count, width, config.hidden, config.dependency == "cat")
        self.heads = nn.ModuleList(parts.perceptron(width, config.hidden, 2) for _ in units)

    def local(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Each unit's own feature (eq. 1-3): [B, A, D]. tokens: after the last layer [B, 1 + patches, D]."""
        if not self.config.local:
            return torch.stack([pool(tokens[:, 0]) for pool in self.pools], dim=1)
        of_landmarks = _picked(tokens[:, 1:], places)
        pooled = [pool(of_landmarks[:, list(r)]) for pool, r in zip(self.pools, self.regions, strict=True)]
        return torch.stack(pooled, dim=1)

    def features(self, tokens: Tensor, places: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Final features of units [B, A, D] (below eq. 7); dependency weights [B, A]; the class token's [B, D]."""
        seen = self.image(tokens)
        own = self.local(seen, places)
        if self.shared is None:
            return own, None, seen[:, 0]
        common, weights = self.shared(own)
        return own + common[:, None], weights, seen[:, 0]

    def written(self) -> Tensor:
        """Features of the texts of each unit, not active and active: [A, 2, D]."""
        return self.text(self.get_buffer("texts"), self.get_buffer("ends")).unflatten(0, (-1, 2))

    def logits(self, features: Tensor) -> Tensor:
        """Eq. 7: [B, A]."""
        scores = torch.stack([head(features[:, n]) for n, head in enumerate(self.heads)], dim=1)
        return scores[..., 1] - scores[..., 0]

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.logits(self.features(*inputs)[0])

    def objective(self, inputs: tuple[Tensor, ...], labels: Tensor, progress: float) -> Tensor:
        """Eq. 12."""
        config = self.config
        features, weights, whole = self.features(*inputs)
        loss = losses.multi_task(self.logits(features), labels)
        if config.alpha and config.contrast != "none":
            loss = loss + config.alpha * self._contrast(features, whole, labels)
        if config.beta and weights is not None:
            loss = loss + config.beta * losses.dependency(weights, labels)
        return loss

    def _contrast(self, features: Tensor, whole: Tensor, labels: Tensor) -> Tensor:
        config = self.config
        if config.contrast == "global":
            texts = self._described(labels)
            return losses.contrastive(
                whole[:, None], texts[:, None], losses.diagonal(labels[:, :1]), config.temperature
            )
        matrices = losses.same_class(labels) if config.contrast == "same-class" else losses.diagonal(labels)
        units = torch.arange(len(self.units), device=labels.device)
        return losses.contrastive(features, self.written()[units, labels.long()], matrices, config.temperature)

    def _described(self, labels: Tensor) -> Tensor:
        """One text of each sample, of all its units: [B, D] (table VIII, global OrigCL; how it is put is ours)."""
        pairs = prompts.unit_texts(self.units)
        lines = [", ".join(p[not y] for p, y in zip(pairs, row, strict=True)) for row in labels.bool().tolist()]
        (encoder,) = self.frozen_text
        tokens, ends = parts.before(encoder, clip.tokens(lines), self.config.trained)
        return self.text(tokens.to(labels.device), ends.to(labels.device))

    def rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """The encoders, and all else, which learns faster."""
        encoders = [p for tail in (self.image, self.text) for p in tail.parameters() if p.requires_grad]
        known = set(map(id, [*self.image.parameters(), *self.text.parameters()]))
        return [(encoders, 1.0), ([p for p in self.parameters() if id(p) not in known], self.config.faster)]

    def represent(self, *inputs: Tensor) -> Tensor:
        return self.features(*inputs)[0]

    def attention(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Of the class token, in the last layer, to patches; and of each unit to the patches of its region (eq. 2)."""
        entered = self.image.blocks[:-1](inputs[0])
        rows = attending.of_clip(self.image.blocks[-1], entered)
        found = {"class token": attending.square(rows[:, 0, 1:])}
        if self.config.local and self.config.pool == "attention":
            of_landmarks = _picked(self.image(inputs[0])[:, 1:], inputs[1])
            for unit, pool, region in zip(self.units, self.pools, self.regions, strict=True):
                weights = cast(parts.PatchAttention, pool).weights(of_landmarks[:, list(region)])
                places = torch.zeros_like(rows[:, 0, 1:])  # landmarks in one patch add up
                places.scatter_add_(1, inputs[1][:, list(region)].long(), weights[..., 0])
                found[f"AU{unit}, its landmarks"] = attending.square(places)
        return found

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """The tokens that units take theirs from."""
        return self.image, lambda out: attending.maps(out[:, 1:])

    def similarity(self, classes: Sequence[str], labels: Tensor, *inputs: Tensor) -> dict[str, Matrix]:
        """Units' features with their own two texts; of units among themselves, sample by sample; and of each unit, of
        samples with and without it (figure 6)."""
        features, texts = self.features(*inputs)[0], self.written()
        cosines = F.cosine_similarity(features[:, :, None], texts[None], dim=-1)  # [B, A, 2]
        names = [f"{name}{sign}" for name in classes for sign in ("-", "+")]
        rows = (2 * torch.arange(len(classes), device=labels.device) + labels.long()).flatten()
        both = torch.arange(2, device=labels.device)
        return {
            "unit - text": grouped(cosines.flatten(0, 1), rows, both, names, ("not active", "active")),
            "unit - unit": whole(between(features, features), classes, classes),
            **{
                f"{name}: samples": of_pairs(features[:, n], labels[:, n], ("without", "with"))
                for n, name in enumerate(classes)
            },
        }

    def also(self, *inputs: Tensor) -> dict[str, Tensor]:
        return {"emotions": self.emotions(*inputs)}

    def emotions(self, *inputs: Tensor) -> Tensor:
        """How near each sample is to each of `CATEGORIES`, recognised without emotion labels (eq. 13): [B, 3]."""
        return nearness(self.features(*inputs)[0], self.written(), self.units)


def _picked(tokens: Tensor, places: Tensor) -> Tensor:
    """The token of each landmark: [B, P, D] and [B, 68] -> [B, 68, D]."""
    return tokens.gather(1, places.long()[..., None].expand(-1, -1, tokens.shape[-1]))


def features(config: MicroAUConfig) -> tuple[str, ...]:
    """Tokens of the flow picture after the frozen layers, and landmarks."""
    return (TOKENS, LANDMARKS)


def inputs(config: MicroAUConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor, ...]:
    """Tokens float16 [N, 1 + patches, width], and the patch of each of 68 landmarks uint8 [N, 68]."""
    size = SIZES[config.backbone]
    tokens = np.stack([np.asarray(read[TOKENS][sample], np.float16) for sample in samples])
    if tokens.shape[1:] != (size.tokens, size.width):
        msg = (
            f"{TOKENS} holds {' x '.join(map(str, tokens.shape[1:]))} numbers of a sample, and {config.backbone} makes "
            f"{size.tokens} x {size.width}. Extract it with {config.backbone}, cut before its last {config.trained} "
            "layers, or name the backbone that it was extracted with."
        )
        raise MepipeError(msg)
    points = torch.from_numpy(np.stack([to_68(np.asarray(read[LANDMARKS][sample])) for sample in samples]))
    if not config.crop / 2 < float(points.max()) < config.crop * 1.2:
        msg = f"{LANDMARKS} reach to {float(points.max()):.0f} px, which is no crop of {config.crop} px. Say --crop."
        raise MepipeError(msg)
    return torch.from_numpy(tokens), parts.patches(points, config.crop, size.image // size.patch).to(torch.uint8)


def build(config: MicroAUConfig, names: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], Learner]:
    """What makes the network of a fold. names: of action units, `AU4`."""
    units, path = [int(name.removeprefix("AU")) for name in names], files.get(config.backbone)
    image, text = image_encoder(config.backbone, path, seed), clip.text_encoder(config.backbone, path, seed)
    return lambda: MicroAUCLIP(image, text.requires_grad_(False), units, config)


def schedule(config: MicroAUConfig) -> Schedule:
    """SGD, whose rate falls to a tenth once (section IV-A)."""
    return Schedule(
        config.epochs, config.batch, config.lr, optimiser="sgd", momentum=config.momentum, milestones=(config.falls,)
    )


MODEL = Model(
    name="micro-au-clip",
    recipe=lambda config: "micro-au-clip-tiny" if config.backbone == "tiny" else "micro-au-clip",
    features=features,
    inputs=inputs,
    build=build,
    schedule=schedule,
    weights=lambda config: (config.backbone,) if config.pretrained else (),
    texts=("micro_au_clip",),
    units=True,
    also={"emotions": Also("cde-3", CATEGORIES, "emotions, recognised without labels of them (eq. 13)")},
)
