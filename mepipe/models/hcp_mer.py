"""HCP_MER: prompt groups for micro-expressions (paper: "Learning Holistic-Componential Prompt Groups for
Micro-Expression Recognition").

A frozen CLIP has embedded two images of each sample: the apex magnified by MagNet, and the map of the flow from onset
to apex. Each passes an adapter, and is compared with a text for each class: the apex with the emotion's name
(holistic), the flow with the movements that make it up (componential). Learned are tokens of these texts, adapters, and
how the two opinions are weighed. No image encoder is at work in training: the embeddings come from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.errors import MepipeError
from mepipe.models import hcp_mer_losses as losses
from mepipe.models import prompts
from mepipe.models.configs.hcp_mer import HCPConfig
from mepipe.models.declare import Feature, Model
from mepipe.models.learner import Learner, Schedule
from mepipe.models.similarity import Matrix, between, grouped, whole
from mepipe.networks import clip
from mepipe.networks.clip_parts import TextEncoder


class Bottleneck(nn.Module):
    """The adapter of figure 8: linear, batch normalisation, ReLU, linear, and the input added: [B, width].

    The last linear layer starts at zero (ours), so that training starts from what CLIP knows.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.norm = nn.BatchNorm1d(inner)
        self.up = nn.Linear(inner, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden, norm = self.down(x), self.norm
        if self.training and len(x) == 1:  # a last batch of one sample has no variance: the running one stands in
            hidden = F.batch_norm(hidden, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            hidden = norm(hidden)
        return x + self.up(torch.relu(hidden))


def adapter(width: int, config: HCPConfig) -> nn.Sequential:
    """One or more adapters, one after another; none where the configuration has none."""
    count = config.layers if config.bottleneck else 0
    return nn.Sequential(*(Bottleneck(width, config.bottleneck) for _ in range(count)))


class Prompts(nn.Module):
    """A branch's texts (eq. 1-3): start, half of the learned tokens, the class's own tokens, the other half, end.

    The learned tokens, shared by all classes, begin as those of "a photo of" as far as that goes, and drawn with a
    standard deviation of 0.02, as in CoOp, from there on.
    """

    def __init__(self, encoder: TextEncoder, template: str, middles: Sequence[str], context: int) -> None:
        super().__init__()
        words = encoder.token_embedding.weight.detach()
        self.context = nn.Parameter(0.02 * torch.randn(context, words.shape[1]))
        start = clip.pieces(template)[:context]
        with torch.no_grad():
            self.context[: len(start)] = words[start]
        half, rows = context // 2, [clip.pieces(text) for text in middles]
        longest = max(map(len, rows)) + context + 2
        ids, places = torch.zeros(len(rows), longest, dtype=torch.int64), []
        for row, pieces in zip(ids, rows, strict=True):
            whole = [clip.START, *[0] * half, *pieces, *[0] * (context - half), clip.END]
            row[: len(whole)] = torch.tensor(whole)
            places.append([*range(1, 1 + half), *range(1 + half + len(pieces), len(whole) - 1)])
        self.register_buffer("fixed", words[ids], persistent=False)
        self.register_buffer("places", torch.tensor(places, dtype=torch.int64), persistent=False)
        self.register_buffer("ends", torch.tensor([len(p) + context + 1 for p in rows]), persistent=False)

    def embedded(self) -> Tensor:
        """The texts as tokens: [classes, L, width]."""
        places = self.get_buffer("places")[..., None].expand(-1, -1, self.context.shape[1])
        return self.get_buffer("fixed").scatter(1, places, self.context.expand(len(places), -1, -1))

    def forward(self, encoder: TextEncoder) -> Tensor:
        """The texts' features: [classes, D]."""
        return encoder.encode(self.embedded(), self.get_buffer("ends"))


class Gate(nn.Module):
    """Eq. 7-8: how much each branch counts, from both responses -> the fused response, as a logarithm [B, C].

    w = sigmoid(W [Res_h; Res_c]) + b, the bias outside the sigmoid as printed; W and b start at zero, so that both
    count alike. The sum a Res_h + b Res_c is divided by its total over classes, so that it is a distribution.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 2 * classes))
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, holistic: Tensor, componential: Tensor) -> Tensor:
        responses = torch.stack([holistic, componential], dim=1).exp()
        weights = torch.sigmoid(responses.flatten(1) @ self.weight.T) + self.bias
        fused = (weights[..., None] * responses).sum(dim=1).clamp_min(1e-8)
        return (fused / fused.sum(dim=1, keepdim=True)).log()


class HCPMER(Learner):
    """Embeddings of magnified apex and flow map, each [B, D] -> logarithms of probabilities [B, classes].

    With one branch, of its embedding alone. The text encoder is frozen, and shared between folds.
    """

    def __init__(self, encoder: TextEncoder, groups: Sequence[prompts.Group], config: HCPConfig) -> None:
        super().__init__()
        self.config, self.encoder = config, encoder.requires_grad_(False)
        middles = {
            "holistic": [f"{group.marker} {group.name}" for group in groups],
            "componential": [f"{group.marker} {group.movement}" for group in groups],
        }
        names = tuple(middles) if config.branches == "both" else (config.branches,)
        width = encoder.text_projection.shape[1]
        self.prompts = nn.ModuleList(
            Prompts(encoder, groups[0].template, middles[name], config.context) for name in names
        )
        self.adapters = nn.ModuleList(adapter(width, config) for _ in names)
        self.gate = Gate(len(groups)) if len(names) == 2 else None
        self.branches = names

    def features(self, embeddings: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of each branch: adapted images [B, D], texts [classes, D]."""
        images = [adapt(x) for adapt, x in zip(self.adapters, embeddings, strict=True)]
        return images, [branch(self.encoder) for branch in self.prompts]

    def responses(self, images: Sequence[Tensor], texts: Sequence[Tensor]) -> list[Tensor]:
        """Of each branch, the logarithm of its response [B, classes]."""
        tau = self.config.temperature
        return [(losses.cosines(v, t) / tau).log_softmax(dim=1) for v, t in zip(images, texts, strict=True)]

    def fused(self, responses: Sequence[Tensor]) -> Tensor:
        """Eq. 8, as a logarithm; one branch's response as it is."""
        return responses[0] if self.gate is None else self.gate(*responses)

    def forward(self, *embeddings: Tensor) -> Tensor:
        return self.fused(self.responses(*self.features(embeddings)))

    def represent(self, *inputs: Tensor) -> Tensor:
        """The adapted images, each of length 1: texts are compared with their directions."""
        return torch.cat([F.normalize(image, dim=-1) for image in self.features(inputs)[0]], dim=1)

    def similarity(self, classes: Sequence[str], labels: Tensor, *inputs: Tensor) -> dict[str, Matrix]:
        """Of each branch: images of each class with the texts of all, and these texts among themselves."""
        found, every = {}, torch.arange(len(classes), device=labels.device)
        for name, images, texts in zip(self.branches, *self.features(inputs), strict=True):
            found[f"{name}: image - text"] = grouped(between(images, texts), labels, every, classes)
            found[f"{name}: text - text"] = whole(between(texts, texts), classes, classes)
        return found

    def objective(self, inputs: tuple[Tensor, ...], labels: Tensor, progress: float) -> Tensor:
        """Eq. 9."""
        config = self.config
        images, texts = self.features(inputs)
        responses = self.responses(images, texts)
        loss = losses.contrastive(images, texts, labels, config.temperature, config.negatives)
        if len(responses) == 2 and config.weight_consistency:
            loss = loss + config.weight_consistency * losses.consistency(*responses)
        if config.weight_focal:
            focal = losses.focal(self.fused(responses), labels, config.focal_alpha, config.focal_gamma)
            loss = loss + config.weight_focal * focal
        return loss


def features(config: HCPConfig) -> tuple[str, ...]:
    """CLIP's embeddings of the magnified apex and of the flow map, as the recipe calls them."""
    apex, flow = "apex.embed", f"{config.flow}.embed"
    return {"both": (apex, flow), "holistic": (apex,), "componential": (flow,)}[config.branches]


def inputs(config: HCPConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor, ...]:
    """Embeddings float32 [N, D], one tensor for each of `features`."""
    width = clip.TINY["embed_dim"] if config.backbone == "tiny" else clip.EMBEDDING
    made = []
    for node, feature in read.items():
        rows = np.stack([np.asarray(feature[sample], dtype=np.float32).reshape(-1) for sample in samples])
        if rows.shape[1] != width:
            msg = (
                f"{node} holds embeddings of {rows.shape[1]} numbers, and {config.backbone} makes {width}. "
                f"Extract it with {config.backbone}, or name the backbone that it was extracted with."
            )
            raise MepipeError(msg)
        made.append(torch.from_numpy(rows))
    return tuple(made)


def build(config: HCPConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], HCPMER]:
    """What makes the network of a fold. Only the text half of the checkpoint is read; without one it is random."""
    encoder, groups = clip.text_encoder(config.backbone, files.get(config.backbone), seed), prompts.groups(classes)
    return lambda: HCPMER(encoder, groups, config)


def schedule(config: HCPConfig) -> Schedule:
    """AdamW at one rate (appendix C.3)."""
    return Schedule(config.epochs, config.batch, config.lr, optimiser="adamw", weight_decay=config.weight_decay)


_RECIPES = {"flownet2": "hcp-mer", "tvl1": "hcp-mer-tvl1"}
MODEL = Model(
    name="hcp-mer",
    recipe=lambda config: "hcp-mer-tiny" if config.backbone == "tiny" else _RECIPES[config.flow],
    features=features,
    inputs=inputs,
    build=build,
    schedule=schedule,
    weights=lambda config: (config.backbone,) if config.pretrained else (),
    texts=("hcp_mer",),
)
