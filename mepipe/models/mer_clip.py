"""MER-CLIP (paper: Liu et al. 2025, arXiv 2505.05937).

In training, the embedding of a clip is drawn to that of a text which says what moves (action units), and away from
those of the batch's other texts; a small transformer infers the emotion from the clip's tokens. At first only the
former counts, in the end both alike. To recognise an emotion no text is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mepipe.models import attending
from mepipe.models import mer_clip_augment as augment
from mepipe.models.configs.mer_clip import MerClipConfig
from mepipe.models.declare import Model, Source
from mepipe.models.hcp_mer_losses import focal
from mepipe.models.learner import Learner, Schedule
from mepipe.models.mer_clip_inputs import Clips, class_tokens, motion, normalised, unit_tokens
from mepipe.models.mer_clip_losses import alignment_weight, contrastive
from mepipe.models.similarity import Matrix, between, grouped, of_pairs
from mepipe.networks import clip
from mepipe.networks.clip_parts import TextEncoder
from mepipe.networks.mer_clip import EMBEDDING, MerClipHead, MerClipVision
from mepipe.networks.uniformerv2 import Size

NODE = "key-frames"
_TINY = Size(width=48, layers=2, heads=4, side=24, patch=6, extractors=2, local=24)


def _size(config: MerClipConfig) -> Size:
    size = _TINY if config.backbone == "tiny" else Size()
    return replace(size, drop_path=(config.drop_blocks, config.drop_extractors), dropout=config.dropout)


class Texts:
    """A frozen text encoder that reads each text once: what it made of it is kept, for all folds of a process.

    Each text is read by itself, so that its numbers do not depend on what else is asked for.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder.requires_grad_(False).eval()
        self._known: dict[tuple[int, ...], Tensor] = {}

    @torch.compiler.disable
    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens, whole numbers [B, 77] -> features float32 [B, D], not normalised."""
        texts = [tuple(row) for row in tokens.long().tolist()]
        for text in dict.fromkeys(texts):
            if text not in self._known:
                self._known[text] = self._read(text, tokens.device)
        return torch.stack([self._known[text] for text in texts])

    @torch.no_grad()
    def _read(self, text: tuple[int, ...], device: torch.device) -> Tensor:
        ids = torch.tensor([text[: text.index(max(text)) + 1]], device=device)  # nothing after the end counts
        with torch.autocast(device.type, enabled=False):
            return self.encoder.to(device)(ids)[0]


class MerClip(Learner):
    """Frames [B, 16, 3, S, S], 0..255, and in training tokens of texts [B, templates, 77] -> logits [B, classes].

    Parameters are named as in the official checkpoints. texts: None where nothing is aligned. names: tokens of the
    classes' names [classes, templates, 77], where these are the texts.
    """

    def __init__(self, classes: int, config: MerClipConfig, texts: Texts | None, names: Tensor | None = None) -> None:
        super().__init__()
        width = clip.TINY["embed_dim"] if config.backbone == "tiny" else EMBEDDING
        self.config, self.texts, self.names = config, texts, names
        self.vision_encoder = MerClipVision(_size(config), width)
        self.cls_head: nn.Module = (
            MerClipHead(classes, width)
            if config.head == "transformer"
            else nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, classes))
        )
        scale = torch.tensor(-math.log(config.temperature))
        self.logit_scale = nn.Parameter(scale, requires_grad=config.learn_temperature)
        self.appearance = augment.appearance(config.augmix, config.flip, config.jitter)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised frames -> clip embedding [B, D], logits [B, classes]. A linear head reads the fused feature."""
        seen = motion(frames) if self.config.motion else frames
        embedding, tokens = self.vision_encoder(seen.transpose(1, 2))
        return embedding, self.cls_head(tokens if self.config.head == "transformer" else tokens[:, 0])

    def forward(self, frames: Tensor, *tokens: Tensor) -> Tensor:
        return self.encode(normalised(frames))[1]

    def represent(self, *inputs: Tensor) -> Tensor:
        """What the head judges: of the transformer's blocks, side by side, the first token, normed."""
        tokens = self._seen_tokens(inputs[0])
        return self.cls_head.firsts(tokens).flatten(1) if isinstance(self.cls_head, MerClipHead) else tokens[:, 0]

    def _seen_tokens(self, frames: Tensor) -> Tensor:
        frames = normalised(frames)
        tokens: Tensor = self.vision_encoder((motion(frames) if self.config.motion else frames).transpose(1, 2))[1]
        return tokens

    def seen(self, *inputs: Tensor) -> Tensor:
        """Every second frame: two are one step of what attention and evidence are of."""
        return inputs[0][:, ::2] / 255

    def attention(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Of the fused feature, in the head's last block, to the patches of all steps."""
        if not isinstance(self.cls_head, MerClipHead):
            return {}
        tokens = self._seen_tokens(inputs[0])
        for block in self.cls_head.blocks[:-1]:
            tokens = block(tokens)
        places = attending.of_head(self.cls_head.blocks[-1], tokens)[:, 0, 1:]
        return {"fused feature": attending.square(places.unflatten(1, (inputs[0].shape[1] // 2, -1)))}

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """The video encoder's last block (figure 6), all steps of time."""

        def volume(out: Tensor) -> Tensor:
            return attending.maps(out[:, :, 1:]).transpose(1, 2)

        return self.vision_encoder.transformer.resblocks[-1], volume

    def similarity(self, classes: Sequence[str], labels: Tensor, *inputs: Tensor) -> dict[str, Matrix]:
        """Clips of each class with the texts of each: in the first sentence, of the samples' own units."""
        embedding = self.encode(normalised(inputs[0]))[0]
        found = {"clip - clip": of_pairs(embedding, labels, classes)}
        if self.texts is None:
            return found
        tokens = inputs[1][:, 0] if self.names is None else self.names[labels.cpu()][:, 0].to(labels.device)
        known = tokens.any(dim=1)
        if known.any():
            texts = self.texts(tokens[known])
            found["clip - text"] = grouped(between(embedding, texts), labels, labels[known], classes)
            found["text - text"] = of_pairs(texts, labels[known], classes)
        return found

    def changed(self, frames: Tensor) -> Tensor:
        """Frames as training sees them: each clip's appearance changed, normalised, mixed with another's face."""
        return augment.face_mix(normalised(augment.each(self.appearance, frames)), self.config.facemix, self.config.mix)

    def objective(self, inputs: tuple[Tensor, ...], labels: Tensor, progress: float) -> Tensor:
        """Eq. 14. A clip of which no action unit is known counts in the focal loss only."""
        embedding, logits = self.encode(self.changed(inputs[0]))
        emotion = focal(logits.log_softmax(dim=1), labels, 1.0, self.config.focal_gamma)
        if self.texts is None:
            return emotion
        tokens = inputs[1] if self.names is None else self.names.to(labels.device)[labels]
        drawn = torch.randint(tokens.shape[1], (len(tokens),))
        tokens = tokens[torch.arange(len(tokens)), drawn]
        known = tokens.any(dim=1)
        weight = alignment_weight(self.config.weight_first, progress)
        if not known.any():
            return (2 - weight) * emotion
        aligned = contrastive(embedding[known], self.texts(tokens[known]), self.logit_scale.exp())
        return weight * aligned + (2 - weight) * emotion


def inputs(config: MerClipConfig, read: Mapping[str, Any], samples: Sequence[str]) -> tuple[Source, ...]:
    """Key frames; and where the texts are of action units, their tokens."""
    clips = Clips(read[NODE], samples, _size(config).side, config.crop)
    if not config.alignment or config.texts == "emotion":
        return (clips,)
    return clips, unit_tokens(config, read["aus"], samples)


def build(config: MerClipConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], MerClip]:
    """What makes the network of a fold. The text encoder is read once; without files all is random."""
    texts = names = None
    if config.alignment:
        kind = "tiny" if config.backbone == "tiny" else config.text_encoder
        texts = Texts(clip.text_encoder(kind, files.get(kind), seed))
    if config.alignment and config.texts == "emotion":
        names = class_tokens(config, classes)

    def make() -> MerClip:
        made = MerClip(len(classes), config, texts, names)
        if config.backbone in files:
            made.vision_encoder.begin(files[config.backbone])
        return made

    return make


def schedule(config: MerClipConfig) -> Schedule:
    """AdamW, a warm-up, a cosine (section IV-C2)."""
    return Schedule(
        config.epochs,
        config.batch,
        config.lr,
        optimiser="adamw",
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        cosine=True,
        floor=config.floor,
        clip_norm=config.clip_norm,
        decay_all=config.decay_all,
    )


def weights(config: MerClipConfig) -> tuple[str, ...]:
    """What the video encoder begins with, and the text encoder's, each once."""
    both = (config.backbone, config.text_encoder) if config.alignment and config.backbone != "tiny" else ()
    return tuple(dict.fromkeys(both or (config.backbone,)))


MODEL = Model(
    name="mer-clip",
    recipe=lambda config: "mer-clip",
    features=lambda config: (NODE,),
    inputs=inputs,
    build=build,
    schedule=schedule,
    weights=weights,
    texts=("action_units", "mer_clip"),
    aus=True,
)
