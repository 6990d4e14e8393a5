"""One sample at a glance, and many side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mepipe.errors import MepipeError
from mepipe.store.feature import Feature
from mepipe.view.colour import draw_wheel, flow_colours, robust_scale
from mepipe.view.look import LEAST_FLOW, LEAST_STRAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"onset": "#0072b2", "apex": "#d55e00", "offset": "#009e73"}  # Okabe and Ito: told apart by every eye


@dataclass
class View:
    """The features of one sample: {node: array}, or the reason why there is none."""

    sample: str
    row: Mapping[str, Any]
    arrays: dict[str, np.ndarray]
    positions: dict[str, np.ndarray]
    absent: dict[str, str]

    def at(self, node: str, mark: str) -> np.ndarray:
        """The frame of a node nearest to onset, apex or offset; without an annotated apex, that of most motion."""
        frames, positions = self.arrays[node], self.positions[node]
        number = self.row[mark]
        if number < 0:
            number = self.positions["flow.tvl1"][int(np.argmax(motion(self.arrays["flow.tvl1"])))]
        return np.asarray(frames[int(np.argmin(np.abs(positions - number)))])


def gather(features: Mapping[str, Feature], sample: str) -> View:
    """All that a store has of one sample."""
    row = {str(k): v for k, v in next(iter(features.values())).table.loc[sample].items()}
    view = View(sample, row, {}, {}, {})
    for node, feature in features.items():
        try:
            view.arrays[node] = feature[sample]
            view.positions[node] = feature.position(sample)
        except MepipeError as error:
            view.absent[node] = feature.failed.get(sample) or str(error)
    return view


def motion(flow: np.ndarray) -> np.ndarray:
    """Flow [T, 2, H, W] -> [T], px: the mean length of the tenth of pixels that moves most."""
    length = np.hypot(flow[:, 0].astype(np.float32), flow[:, 1].astype(np.float32)).reshape(len(flow), -1)
    most = max(1, length.shape[1] // 10)
    return np.sort(length, axis=1)[:, -most:].mean(axis=1)


def _picture(axes: Axes, frame: np.ndarray) -> None:
    axes.imshow(
        np.clip(
            frame if frame.dtype == np.uint8 else frame.astype(np.float32), 0, 255 if frame.dtype == np.uint8 else 1
        )
    )


def _frame(mark: str) -> Callable[[Axes, View], None]:
    def draw(axes: Axes, view: View) -> None:
        _picture(axes, view.at("frames", mark))
        if mark == "onset" and "landmarks" in view.arrays:
            x, y = view.arrays["landmarks"].T
            axes.plot(x, y, ".", ms=1.2, color="#56b4e9", alpha=0.8)

    return draw


def _flow(axes: Axes, view: View) -> None:
    scale = robust_scale(view.arrays["flow.tvl1"], LEAST_FLOW)
    axes.imshow(flow_colours(view.at("flow.tvl1", "apex"), scale))
    draw_wheel(axes, scale)


def _strain(axes: Axes, view: View) -> None:
    scale = robust_scale(view.arrays["strain"], LEAST_STRAIN)
    image = axes.imshow(view.at("strain", "apex").astype(np.float32), vmin=0, vmax=scale, cmap="magma")
    bar = axes.inset_axes((0.1, 0.05, 0.3, 0.03))
    axes.figure.colorbar(image, cax=bar, orientation="horizontal", ticks=[0, scale], format="%.2g")
    bar.tick_params(labelsize=6, colors="white", length=0, pad=1)
    bar.xaxis.set_ticks_position("top")


def _magnified(axes: Axes, view: View) -> None:
    _picture(axes, view.at("magnify.frames", "apex"))


def _pooled(axes: Axes, view: View) -> None:
    _picture(axes, view.arrays["rank-pool"])


PANELS: list[tuple[str, str, Callable[[Axes, View], None]]] = [
    ("onset, landmarks", "frames", _frame("onset")),
    ("apex", "frames", _frame("apex")),
    ("offset", "frames", _frame("offset")),
    ("flow onset → apex", "flow.tvl1", _flow),
    ("optical strain at apex", "strain", _strain),
    ("magnified apex", "magnify.frames", _magnified),
    ("rank-pooled", "rank-pool", _pooled),
]


def _panel(axes: Axes, view: View, panel: tuple[str, str, Callable[[Axes, View], None]], title: bool = True) -> None:
    name, node, draw = panel
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(name, fontsize=9)
    if node in view.arrays:
        draw(axes, view)
    else:
        reason = textwrap.fill(view.absent.get(node, "not extracted"), 28, max_lines=7)
        text = axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=5.5, transform=axes.transAxes)
        text.set_in_layout(False)
        axes.set_aspect("equal")


def _curve(axes: Axes, view: View, labels: bool = True) -> None:
    """Motion over time, from the onset frame, with the annotated moments."""
    fps = float(view.row["fps"])
    if "flow.tvl1" in view.arrays:
        numbers = np.concatenate([[view.row["onset"]], view.positions["flow.tvl1"]])
        values = np.concatenate([[0.0], motion(view.arrays["flow.tvl1"])])
        axes.plot((numbers - view.row["onset"]) / fps * 1000, values, "o-", color="black", lw=1.2, ms=3)
        axes.set_ylim(0, max(LEAST_FLOW, 1.1 * values.max()))
    for mark, colour in MARKS.items():
        if view.row[mark] >= 0:
            axes.axvline((view.row[mark] - view.row["onset"]) / fps * 1000, color=colour, lw=1.5, label=mark)
    axes.tick_params(labelsize=7)
    if labels:
        axes.set_xlabel("time after onset, ms", fontsize=8)
        axes.set_ylabel("motion from onset, px\n(mean of the tenth that moves most)", fontsize=8)
        axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper right")


def _caption(view: View) -> str:
    row = view.row
    known = [f"subject {row['subject']}", row["emotion"], f"AU {row['aus']}" if row["aus"] else ""]
    return " · ".join(part for part in known if part)


def one(view: View, dataset: str) -> Figure:
    """One sample: onset, apex, offset; flow, strain, magnified apex, rank-pooled picture; motion over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9.2), layout="constrained")
    figure.suptitle(f"{dataset} / {view.sample}   {_caption(view)}", fontsize=12)
    grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 0.72])
    for panel, place in zip(PANELS, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3)], strict=True):
        _panel(figure.add_subplot(grid[place]), view, panel)
    facts = figure.add_subplot(grid[1, 3])
    facts.set_axis_off()
    facts.text(0, 1, _facts(view), va="top", fontsize=9, linespacing=1.6)
    _curve(figure.add_subplot(grid[2, :]), view)
    return figure


def _facts(view: View) -> str:
    row = view.row
    fps = float(row["fps"])
    lines = [f"clip  {row['clip']}", f"{fps:g} frames per second"]
    for mark in MARKS:
        number = int(row[mark])
        lines.append(
            f"{mark}  frame {number}, {(number - row['onset']) / fps * 1000:.0f} ms"
            if number >= 0
            else f"{mark}  unknown"
        )
    if "flow.tvl1" in view.arrays:
        lines.append(f"most motion  {motion(view.arrays['flow.tvl1']).max():.2f} px")
    if row["note"]:
        lines.append(f"note  {row['note']}")
    return "\n".join(lines)


def sheet(views: Sequence[View], dataset: str) -> Figure:
    """A contact sheet: one row per sample, the panels of `one` as columns, motion over time last."""
    from matplotlib.figure import Figure

    columns = len(PANELS) + 1
    figure = Figure(figsize=(1.75 * columns, 1.85 * len(views) + 0.5), layout="constrained")
    figure.suptitle(f"{dataset}: {len(views)} samples; each flow and strain has its own scale", fontsize=11)
    grid = figure.add_gridspec(len(views), columns)
    for r, view in enumerate(views):
        for c, panel in enumerate(PANELS):
            axes = figure.add_subplot(grid[r, c])
            _panel(axes, view, panel, title=r == 0)
            if c == 0:
                axes.set_ylabel(f"{view.sample}\n{view.row['emotion']}\n{view.row['aus']}", fontsize=7)
        _curve(figure.add_subplot(grid[r, -1]), view, labels=False)
    return figure
