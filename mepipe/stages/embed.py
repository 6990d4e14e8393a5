"""What the frozen part of a large network makes of a picture: its embedding, or tokens where training begins."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mepipe import weights
from mepipe.clip import Clip
from mepipe.ops import flow_picture
from mepipe.stages.declare import Output, Params, Shape, Stage

if TYPE_CHECKING:
    from mepipe.networks.clip_image import ImageEncoder

EMBEDDING = "embedding"
# Of each model: tokens of a picture, width of a token, layers, length of the embedding. Here since Torch, which the
# networks need, takes seconds to import (mepipe.networks.clip_image.SIZES).
_SIZES = {"clip-vit-b32": (50, 768, 12, 512), "clip-vit-b16": (197, 768, 12, 512), "tiny": (17, 64, 2, 64)}


class EmbedParams(Params):
    """Parameters of embed."""

    model: Literal["clip-vit-b32", "clip-vit-b16", "tiny"] = Field(
        "clip-vit-b32", description="Whose image half: CLIP's, by the name of its weights; tiny, for trying out."
    )
    weights: Literal["published", "random"] = Field(
        "published",
        description="The model's published weights (mepipe weights ls), or random ones, drawn from a seed.",
        validate_default=True,
    )
    cut: str = Field(
        EMBEDDING,
        pattern=r"^(embedding|block-[0-9]{1,2})$",
        description="Where it ends: embedding, or block-N: all tokens after the first N layers.",
    )
    picture: Literal["colour", "components"] = Field(
        "colour", description="How a flow becomes a picture: see mepipe.ops.flow_picture. Of flow."
    )

    @field_validator("weights")
    @classmethod
    def _published(cls, value: str, info: ValidationInfo) -> str:
        if value == "published" and info.data.get("model") == "tiny":
            raise PydanticCustomError("tiny", "Model tiny has no published weights: say weights: random")
        return value

    @field_validator("cut")
    @classmethod
    def _within(cls, value: str, info: ValidationInfo) -> str:
        if (model := info.data.get("model")) in _SIZES and value != EMBEDDING and _blocks(value) > _SIZES[model][2]:
            about = {"model": model, "layers": _SIZES[model][2]}
            raise PydanticCustomError("cut", "{model} has {layers} layers: at most block-{layers}", about)
        return value


def _blocks(cut: str) -> int:
    return int(cut.removeprefix("block-"))


def compute(given: Clip | np.ndarray, params: EmbedParams, device: str = "cpu") -> np.ndarray:
    """Run the frozen part of CLIP's image half on the last frame, or flow: the apex, of a pair onset and apex."""
    import torch

    from mepipe.networks.clip_image import SIZES, prepare

    if isinstance(given, Clip):
        image = given.levels()[-1].astype(np.float32) / np.float32(255)
    else:
        image = flow_picture.picture(given[-1], params.picture)
    random = params.weights == "random"
    net = _encoder(
        params.model,
        None if random else weights.locate(params.model),
        "" if random else weights.digest(params.model),
        device,
    )
    with torch.inference_mode():
        ready = prepare(torch.from_numpy(image).to(device), SIZES[params.model].image)
        found = net(ready) if params.cut == EMBEDDING else net.tokens(ready, _blocks(params.cut))
    values: np.ndarray = found[0].cpu().numpy()
    return values


@lru_cache(maxsize=2)
def _encoder(model: str, file: Path | None, digest: str, device: str) -> ImageEncoder:
    from mepipe.networks.clip_image import image_encoder

    return image_encoder(model, file).requires_grad_(False).to(device)


def _output(params: EmbedParams) -> Output:
    # of a frame it is as telling of a person as landmarks are
    dims = ("channel",) if params.cut == EMBEDDING else ("token", "channel")
    return Output("array", dims, "float32", "1", shows_face=True)


def _shape(params: EmbedParams, given: Shape) -> Shape:
    tokens, width, _, embedding = _SIZES[params.model]
    return (embedding,) if params.cut == EMBEDDING else (tokens, width)


STAGE = Stage(
    name="embed",
    version=1,
    params=EmbedParams,
    inputs=("clip", "flow"),
    output=_output,
    compute=compute,
    shape=_shape,
    libraries=("torch",),
    loads=("mepipe.networks.clip_image",),
    on_device=True,
    weights=lambda params: () if params.weights == "random" else (params.model,),
)
