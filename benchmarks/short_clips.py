"""What the band-pass makes of a movement as short as a clip, drawn and tabulated for several paddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from benchmarks.tables import Row, Table
from mepipe.ops import eulerian

FIGURE = Path(__file__).parents[1] / "docs" / "short_clips.png"
_BAND = (0.4, 4.0)
_SECONDS = (0.25, 0.5, 1.0)
# Rest on both sides of the uncut recording, s: 1e-7 of the filter's response is left.
_REST = 20
_COURSES: dict[str, tuple[str, dict[str, object]]] = {
    "given": ("the movement", {"color": "black", "lw": 0.9}),
    "ideal": ("uncut recording, filtered", {"color": "0.65", "lw": 4}),
    "held": ("ours: ends held", {"color": "#0072B2", "lw": 1.5}),
    "odd": ("mirrored, odd", {"color": "#D55E00", "lw": 1.4, "ls": "--"}),
    "even": ("mirrored, even", {"color": "#009E73", "lw": 1.8, "ls": ":"}),
}


@dataclass(frozen=True)
class Short:
    """A clip with a movement of some seconds, whole or cut at its apex; courses float64 [T] by name."""

    fps: float
    seconds: float
    cut: bool
    courses: dict[str, np.ndarray]

    @property
    def label(self) -> str:
        return f"{self.fps:g} fps, {'cut at the apex' if self.cut else 'onset -> offset'}"

    def kept(self, name: str) -> float:
        """The swing that is left, of the movement's."""
        return float(np.ptp(self.courses[name]) / np.ptp(self.courses["given"]))

    def error(self, name: str) -> float:
        """Distance to the filtered uncut recording, relative to it (rms)."""
        ideal = self.courses["ideal"]
        return float(np.linalg.norm(self.courses[name] - ideal) / np.linalg.norm(ideal))


def measure() -> list[list[Short]]:
    """Rows of one frame rate and cut, columns of one length."""
    return [[_short(fps, s, cut) for s in _SECONDS] for fps, cut in ((200.0, False), (30.0, False), (200.0, True))]


def table(rows: list[list[Short]]) -> Table:
    """What is left of the movement's swing, and the error of each padding."""
    header = ("clip", "movement, s", "kept, ideal", "kept, ours", "first frame, ours")
    header += ("error, ours", "mirrored, odd", "mirrored, even")
    cells = [_row(short) for row in rows for short in row]
    note = (
        "Kept: swing after the filter, of the movement's 1. First frame: its value after the filter, 0 before.\n"
        "Error: rms distance to the filtered uncut recording, relative to it. Mirrored: one mirror image on\n"
        "each side, as `scipy.signal.sosfiltfilt` pads.\n\n![Short clips](short_clips.png)"
    )
    return Table("Short clips: a movement from rest to rest, 0.4-4 Hz, forward and backward", header, cells, note)


def _row(short: Short) -> Row:
    values = short.kept("ideal"), short.kept("held"), float(short.courses["held"][0])
    return (short.label, f"{short.seconds:g}", *values, *(short.error(name) for name in ("held", "odd", "even")))


def draw(rows: list[list[Short]], path: Path = FIGURE) -> None:
    """The courses, one panel for each clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(rows), len(rows[0]), figsize=(11, 8.5), sharey=True, sharex="col")
    for shorts, line in zip(rows, axes, strict=True):
        for short, axis in zip(shorts, line, strict=True):
            time = np.arange(len(short.courses["given"])) / short.fps
            for name, (label, style) in _COURSES.items():
                dots = "." if short.fps < 100 else None
                axis.plot(time, short.courses[name], label=label, marker=dots, **style)
            kept = [f"{short.kept(name):.2f}" for name in ("ideal", "held", "odd", "even")]
            axis.set_title(f"{short.seconds:g} s, {short.label}\nkept {' / '.join(kept)}", fontsize=10)
            axis.axhline(0, color="0.85", lw=0.8, zorder=0)
            axis.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("movement")
    for axis in axes[-1]:
        axis.set_xlabel("time since onset, s")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=len(labels), frameon=False)
    figure.suptitle("A short movement after the band-pass 0.4-4 Hz; kept: swing left, ideal / ours / odd / even")
    figure.tight_layout(rect=(0, 0.035, 1, 1))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _short(fps: float, seconds: float, cut: bool) -> Short:
    steps = round(seconds * fps)
    rest = round(_REST * fps)
    movement = 0.5 * (1 - np.cos(2 * np.pi * np.arange(steps + 1) / steps))
    sos = butter(2, _BAND, "band", fs=fps, output="sos")
    seen = slice(0, steps // 2 + 1 if cut else None)
    whole = sosfiltfilt(sos, np.pad(movement, rest), padtype=None)[rest : rest + steps + 1]
    given = movement[seen]
    mirrored = {kind: sosfiltfilt(sos, given, padtype=kind, padlen=len(given) - 1) for kind in ("odd", "even")}
    held = eulerian.filter_matrix(len(given), fps, *_BAND) @ given
    return Short(fps, seconds, cut, {"given": given, "ideal": whole[seen], "held": held} | mirrored)
