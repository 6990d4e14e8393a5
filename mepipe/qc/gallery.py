"""Suspicious samples to look at, reasons beside frames, flow and motion over time: one picture, or one page."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mepipe.errors import MepipeError
from mepipe.qc import pictures, regions
from mepipe.qc.sample import Course, Timing
from mepipe.qc.sources import Sources
from mepipe.view.colour import draw_wheel
from mepipe.view.look import LEAST_FLOW, panels
from mepipe.view.sample import MARKS

_COLUMNS = (*MARKS, "in question", "flow from the onset", "motion over time")
_ABOUT = "In question: the moment of the gravest flag that has one, else of most motion. Flow is from onset to then."
_CSS = """body{font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff;max-width:76rem;margin:2rem auto}
section{border-top:1px solid #ccc;padding:.6rem 0;break-inside:avoid}h2{font-size:1.05rem;margin:.2rem 0}
h2 span{color:#666;font-weight:normal}ul{margin:.3rem 0 .5rem 1.2rem;padding:0}img{max-width:100%}
td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}th{border-bottom:1px solid #999}
table{border-collapse:collapse;font-size:.9rem}"""


@dataclass(frozen=True, eq=False)
class Shown:
    """What is drawn of a sample.

    at: the moment of its gravest flag that has one, else of most motion, ms after the onset; None without flow.
    frames: grey levels [H, W] at onset, apex, offset and then ("then"), where there are any. flow: [2, H, W], from the
    onset to then. course: motion over time.
    """

    sample: str
    row: dict[str, Any]
    verdict: dict[str, Any]
    at: float | None
    frames: dict[str, np.ndarray]
    flow: np.ndarray | None
    course: Course | None

    @property
    def marks(self) -> dict[str, float]:
        """When onset, apex and offset are annotated, ms after the onset."""
        timing = Timing.of(self.row)
        return {name: timing.ms(self.row[name]) for name in MARKS if self.row[name] >= 0}


def gather(sources: Sources, sample: str, verdict: dict[str, Any]) -> Shown:
    """What can be shown of a sample."""
    row = sources.row(sample)
    try:
        return _gathered(sources, sample, row, verdict)
    except MepipeError:  # damaged, as the verdict says
        return Shown(sample, row, verdict, None, {}, None, None)


def _gathered(sources: Sources, sample: str, row: dict[str, Any], verdict: dict[str, Any]) -> Shown:
    timing = Timing.of(row)
    frames, flow, landmarks = (sources.read(kind, sample) for kind in ("frames", "flow", "landmarks"))
    at = next((float(flag["at_ms"]) for flag in verdict["flags"] if "at_ms" in flag), None)
    course = None
    if flow is not None and landmarks is not None:
        face = regions.of(landmarks, sources.size)
        course = Course.of(flow[:, :2], sources.position("flow", sample), timing, face)
        at = course.highest(course.skin)[1] if at is None else at
    shown = Shown(sample, row, verdict, at, {}, None, course)
    if flow is not None and at is not None:
        shown = replace(shown, flow=_nearest(flow[:, :2], sources.position("flow", sample), at, timing))
    if frames is not None:
        levels, position = pictures.grey(frames, sources.white), sources.position("frames", sample)
        moments = {**shown.marks, **({} if at is None else {"then": at})}
        shown.frames.update({name: _nearest(levels, position, ms, timing) for name, ms in moments.items()})
    return shown


def _nearest(array: np.ndarray, position: np.ndarray, ms: float, timing: Timing) -> np.ndarray:
    """Of an array [T, ...] that stands for these frame numbers, the part nearest to a moment."""
    moments = np.array([timing.ms(number) for number in position])
    found: np.ndarray = array[int(np.argmin(np.abs(moments - ms)))]
    return found


def png(sources: Sources, report: dict[str, Any], path: Path, most: int) -> None:
    """One picture: the most suspicious samples, a row each."""
    shown = _chosen(sources, report, most)
    scale = _scale(sources, shown)
    figure = Figure(figsize=(16, 0.9 + 2.05 * len(shown)), layout="constrained")
    figure.suptitle(_title(report, shown), fontsize=12)
    grid = figure.add_gridspec(max(1, len(shown)), 7, width_ratios=[1.9, 1, 1, 1, 1, 1, 1.9])
    for row, one in enumerate(shown):
        text = figure.add_subplot(grid[row, 0])
        text.set_axis_off()
        text.text(0, 1, f"{one.sample}", va="top", fontsize=10, weight="bold")
        lines = [line for flag in one.verdict["flags"] for line in _wrapped(flag["why"])]
        text.text(0, 0.88, "\n".join(lines[:10]), va="top", fontsize=8.5, linespacing=1.25)
        _draw([figure.add_subplot(grid[row, column]) for column in range(1, 7)], sources, one, scale, row == 0)
    figure.savefig(path, dpi=100)


def html(sources: Sources, report: dict[str, Any], path: Path, most: int) -> None:
    """One page that needs nothing else: the most suspicious samples, and what the flags mean."""
    shown = _chosen(sources, report, most)
    scale = _scale(sources, shown)
    body = "".join(_section(sources, one, scale) for one in shown)
    title = escape(_title(report, shown))
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_CSS}</style></head>'
        f"<body><h1>{title}</h1><p>{_ABOUT}</p>{body}{_meaning(report)}</body></html>\n",
        encoding="utf-8",
    )


def _chosen(sources: Sources, report: dict[str, Any], most: int) -> list[Shown]:
    flagged = [(sample, verdict) for sample, verdict in report["samples"].items() if verdict["flags"]]
    return [gather(sources, sample, verdict) for sample, verdict in flagged[:most]]


def _title(report: dict[str, Any], shown: Sequence[Shown]) -> str:
    flagged = sum(bool(verdict["flags"]) for verdict in report["samples"].values())
    few = f"; the first {len(shown)} are shown" if len(shown) < flagged else ""
    return f"{report['dataset']}: {flagged} of {len(report['samples'])} samples are suspicious{few}"


def _wrapped(reason: str) -> list[str]:
    return textwrap.wrap(reason, 44, initial_indent="• ", subsequent_indent="   ", max_lines=5, placeholder=" ...")


def _scale(sources: Sources, shown: Sequence[Shown]) -> float:
    """One for all flows, px of full colour: the middle one of their own scales, so that one wild flow does not whiten
    the others."""
    if sources.flow is None:
        return LEAST_FLOW
    panel = panels({sources.flow.attributes["node"]: sources.flow})[0]
    own = [panel.scale([one.flow[None]]) for one in shown if one.flow is not None]
    return float(np.median(own)) if own else LEAST_FLOW


def _draw(axes: Sequence[Axes], sources: Sources, one: Shown, scale: float, keys: bool) -> None:
    """Pictures and curves of one sample, into six axes; keys: with titles, legend, colour wheel."""
    for place, title in zip(axes, _COLUMNS, strict=True):
        if keys:
            place.set_title(title, fontsize=9)
        place.tick_params(labelsize=7)
    for place, name in zip(axes, (*MARKS, "then"), strict=False):
        _empty(place, "no frame" if name not in one.frames else "")
        if name in one.frames:
            place.imshow(one.frames[name], cmap="gray", vmin=0, vmax=255)
            ms = one.marks.get(name, one.at)
            place.set_xlabel(f"{ms:.0f} ms", fontsize=7.5, labelpad=2, color=MARKS.get(name, "black"))
    if one.flow is None or one.course is None or sources.flow is None:
        _empty(axes[4], "no flow")
        _empty(axes[5], "")
        axes[5].set_axis_off()
        return
    _empty(axes[4], "")
    panel = panels({sources.flow.attributes["node"]: sources.flow})[0]
    axes[4].imshow(panel.rgb(one.flow[None], scale)[0])
    axes[4].set_xlabel(f"to {one.at:.0f} ms", fontsize=7.5, labelpad=2)
    if keys:
        draw_wheel(axes[4], scale)
    _curves(axes[5], one, one.course, keys)


def _empty(axes: Axes, text: str) -> None:
    """A square for a picture, or for the word that there is none."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    if text:
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, color="#666", transform=axes.transAxes)


def _curves(axes: Axes, one: Shown, course: Course, keys: bool) -> None:
    axes.plot(course.ms, course.skin, color="black", lw=1.5, label="face, where it moves most")
    axes.plot(course.ms, course.lids, color="#56b4e9", lw=1.5, ls="--", label="upper lids, downwards")
    axes.plot(course.ms, course.rigid, color="#aa4499", lw=1.5, ls="-.", label="face as a whole")
    curves = np.concatenate([course.skin, course.lids, course.rigid])
    top = max(LEAST_FLOW, float(curves.max()))
    axes.set_ylim(min(-0.05 * top, 1.1 * float(curves.min())), (1.45 if keys else 1.1) * top)
    for mark, ms in one.marks.items():
        axes.axvline(ms, color=MARKS[mark], lw=1.2, alpha=0.8)
    axes.set_ylabel("px at 224", fontsize=7.5, labelpad=1)
    axes.set_xlabel("ms after onset", fontsize=7.5, labelpad=1)
    if keys:
        axes.legend(fontsize=6.5, edgecolor="none", loc="upper right", ncols=2, columnspacing=0.8, handlelength=1.8)


def _section(sources: Sources, one: Shown, scale: float) -> str:
    figure = Figure(figsize=(13, 2.3), layout="constrained")
    grid = figure.add_gridspec(1, 6, width_ratios=[1, 1, 1, 1, 1, 1.9])
    _draw([figure.add_subplot(grid[0, column]) for column in range(6)], sources, one, scale, keys=True)
    content = io.BytesIO()
    figure.savefig(content, format="webp", dpi=130, pil_kwargs={"quality": 88})
    picture = base64.b64encode(content.getvalue()).decode()
    about = [f"subject {one.row['subject']}", str(one.row.get("emotion", "")), str(one.row.get("note", ""))]
    reasons = "".join(f"<li><b>{escape(f['flag'])}</b>: {escape(f['why'])}</li>" for f in one.verdict["flags"])
    return (
        f'<section id="{escape(one.sample)}"><h2>{escape(one.sample)} <span>{escape(" · ".join(filter(None, about)))}; '
        f"score {one.verdict['score']:.1f}</span></h2><ul>{reasons}</ul>"
        f'<img alt="frames, flow and motion of {escape(one.sample)}" src="data:image/webp;base64,{picture}">'
        "</section>\n"
    )


def _meaning(report: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{'below' if limit['below'] else 'above'} {limit['limit']:g} "
        f"{escape(limit['unit'])}</td><td>{escape(limit['why'])}</td></tr>"
        for name, limit in report["thresholds"].items()
    )
    skipped = "".join(f"<p>{escape(line)}</p>" for line in report["skipped"])
    return (
        f"<h2>What the flags mean</h2>{skipped}<table><tr><th>flag</th><th>raised</th><th>by what is measured</th></tr>"
        f"{rows}</table>"
    )
