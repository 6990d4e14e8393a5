"""Published weights: which there are, where they come from, and under which licence. `mepipe.weights` locates them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """What is known of weights.

    network: whose they are, a name for `mepipe.networks.build`; empty where MediaPipe runs the file as it is.
    file: its name as published.
    origin, licence: for a person who wants them. url: where `fetch` gets them; empty where no direct download is
        permitted or known. shipped: whether they come with mepipe.
    sha256: of the published file, whole or its first digits; empty where nobody published it.
    """

    name: str
    network: str
    file: str
    origin: str
    licence: str
    url: str = ""
    sha256: str = ""
    shipped: bool = False


def _flownet2(name: str, published: str) -> Weights:
    return Weights(
        name,
        network=name,
        file=f"{published}_checkpoint.pth.tar",
        origin=f"{published} in the table of https://github.com/NVIDIA/flownet2-pytorch, in a browser",
        licence="the agreement that the README of NVIDIA/flownet2-pytorch links to: read it before you download",
    )


def _raft(name: str, file: str) -> Weights:
    return Weights(
        name,
        network=name.replace("-", "_"),
        file=file,
        origin="torchvision",
        licence="BSD-3-Clause (torchvision); trained on data for research",
        url=f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],  # torch.hub's convention: the first digits
    )


def _clip(name: str, file: str, sha256: str) -> Weights:
    return Weights(
        name,
        network=name.replace("-", "_"),
        file=file,
        origin="https://github.com/openai/CLIP",
        licence="MIT",
        url=f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}",
        sha256=sha256,
    )


def _uniformerv2(frames: int) -> Weights:
    file = f"sthv2_uniformerv2_b16_{frames}x224.pyth"
    return Weights(
        f"uniformerv2-ssv2-{frames}",
        network="uniformerv2_b16_ssv2_16x224",
        file=file,
        origin=f"https://pjlab-gvm-data.oss-cn-shanghai.aliyuncs.com/uniformerv2/sthv2/{file}",
        licence="Apache-2.0 (OpenGVLab/UniFormerV2); trained on Something-Something V2, for research",
    )


_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-models"
_MAGNET_PUBLIC = "magnet_epoch12_loss7.28e-02.pth"
WEIGHTS = {
    weights.name: weights
    for weights in (
        _flownet2("flownet2", "FlowNet2"),
        _flownet2("flownet2c", "FlowNet2-C"),
        _flownet2("flownet2s", "FlowNet2-S"),
        _flownet2("flownet2sd", "FlowNet2-SD"),
        _flownet2("flownet2cs", "FlowNet2-CS"),
        _flownet2("flownet2css", "FlowNet2-CSS"),
        _raft("raft-large", "raft_large_C_T_SKHT_V2-ff5fadd5.pth"),
        _raft("raft-small", "raft_small_C_T_V2-01064c6d.pth"),
        Weights("magnet", "magnet", "magnet.safetensors", "mepipe itself", "MIT, as mepipe", shipped=True),
        Weights(
            "magnet-public",
            network="magnet",
            file=_MAGNET_PUBLIC,
            origin="release v1.0 of https://github.com/ZhengPeng7/motion_magnification_learning-based",
            licence="MIT",
            url="https://github.com/ZhengPeng7/motion_magnification_learning-based/releases/download/v1.0/"
            + _MAGNET_PUBLIC,
            sha256="26c0e3ba528152d9219698ca4dac8a1924e3c4528f81277c3296fb7c034d4fae",
        ),
        Weights(
            "magnet-postech",
            network="magnet_deepmag_postech",
            file="epoch50.tar",
            origin="model/epoch50.tar of https://github.com/postech-ami/Deep-Motion-Mag-Pytorch",
            licence="none stated: ask its authors before you pass it on",
        ),
        _clip("clip-vit-b32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
        _clip("clip-vit-b16", "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
        _uniformerv2(16),
        _uniformerv2(32),
        Weights(
            "viclip-text",
            network="mer_clip_text",
            file="ViCLIP-B_InternVid-FLT-10M.pth",
            origin="the ViCLIP models that https://github.com/OpenGVLab/InternVideo links to, in a browser",
            licence="that of InternVideo's release: read it there before you download",
        ),
        Weights(
            *("face-landmarker", "", "face_landmarker.task", "the models of MediaPipe's Face Landmarker", "Apache-2.0"),
            url=f"{_MEDIAPIPE}/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        ),
    )
}
