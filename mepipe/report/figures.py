"""Pictures of a report, as data that stand in the page itself: SVG while it is small, else PNG; photographs as JPEG."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from mepipe.errors import MepipeError
from mepipe.report.gather import Account

SVG_LIMIT = 400_000  # bytes
PNG_LIMIT = 32 << 20
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """source: a data URL. caption: below it, and for those who do not see it."""

    source: str
    caption: str


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _drawn(draw: Callable[[Path], object], caption: str) -> Picture:
    """What `draw` saves under a name. Names from a run are text, whatever dollar signs they have."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mpl.rc_context({"text.parse_math": False, "svg.hashsalt": "mepipe", "font.size": 9}),
    ):
        for suffix in (".svg", ".png"):
            path = Path(folder) / f"picture{suffix}"
            draw(path)
            content = path.read_bytes()
            if len(content) <= SVG_LIMIT:
                break
    return Picture(_data(content, _TYPES[suffix]), caption)


def curves(account: Account) -> Picture | None:
    """Training loss and F1 by epoch; None of what was not trained by steps."""
    from mepipe.train import pictures

    losses = [fold.losses for fold in account.folds]
    if not all(losses) or not losses:
        return None
    return _drawn(
        lambda path: pictures.curves(path, losses, account.by_epoch, account.metrics.reported, account.metrics.weights),
        "Training loss of each fold, and macro F1 of the pooled test predictions after each epoch",
    )


def forest(labels: Sequence[str], scores: Sequence[float], spans: Sequence[Sequence[float]], name: str) -> Picture:
    """One score of several runs, with its 95 % interval, first run on top."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def draw(path: Path) -> None:
        figure = Figure(figsize=(7, 0.7 + 0.4 * len(labels)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        rows = np.arange(len(labels))[::-1]
        low, high = np.array(spans, float).T
        axes.hlines(rows, low, high, color="#0072b2", linewidth=2)
        axes.plot(scores, rows, "o", color="#0072b2", markersize=5)
        axes.set_yticks(rows, labels)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(labels) - 0.4), xlabel=name)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
        figure.savefig(path, dpi=160)

    return _drawn(draw, f"{name} with its 95 % interval over subjects")


def shade(share: float) -> str:
    """The colour of a share 0..1 in a confusion matrix."""
    return to_hex(mpl.colormaps["Blues"](0.9 * share))


def photograph(rgb: np.ndarray) -> str:
    """A data URL of uint8 [H, W, 3]: faces and flow are smooth, and as PNG ten times as large."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, "JPEG", quality=88, subsampling=0)
    return _data(out.getvalue(), "image/jpeg")


def file(path: Path, root: Path, run: Path) -> Picture:
    """A PNG of a run folder as it lies there, named from `root`; MepipeError for what is none, or lies elsewhere."""
    caption = path.relative_to(root).with_suffix("").as_posix()
    if not path.resolve().is_relative_to(run.resolve()) or path.stat().st_size > PNG_LIMIT:
        msg = f"{path}: leads out of its folder, or is larger than {PNG_LIMIT >> 20} MB. Remove it, then report again."
        raise MepipeError(msg)
    content = path.read_bytes()
    if not content.startswith(_SIGNATURE):
        msg = f"{path}: is no PNG. Remove it, then report again."
        raise MepipeError(msg)
    return Picture(_data(content, _TYPES[".png"]), caption)
