"""How a film looks: panels side by side, their colour keys, and a time line on which a playhead moves."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from mepipe.view.sample import MARKS

if TYPE_CHECKING:
    from mepipe.view.video import Film

SIDE = 448  # px of a panel: stored faces of 224, twice as large
MARGIN, GAP, TOP, KEY, LINE = 28, 20, 122, 92, 190  # px: around, between, above the panels, keys below, time line
INK, QUIET, NOTHING = "#1a1a1a", "#595959", (225, 225, 225)


class Canvas:
    """Pictures of a film: what stays is drawn once, what changes over it."""

    def __init__(self, film: Film, speed: float) -> None:
        self.film = film
        count = len(film.tracks)
        self.width = max(2 * MARGIN + count * SIDE + (count - 1) * GAP, 760)
        self.height = TOP + SIDE + KEY + LINE
        left = (self.width - count * SIDE - (count - 1) * GAP) // 2
        self.places = [(left + n * (SIDE + GAP), TOP) for n in range(count)]
        self.font = ImageFont.truetype(findfont("DejaVu Sans:bold"), 26)
        with mpl.rc_context({"text.parse_math": False, "font.family": "DejaVu Sans"}):
            self._stays(speed)
        self._panel = lru_cache(maxsize=2 * count)(self._scaled)

    def at(self, number: float) -> Image.Image:
        """The picture while this frame number of the clip is shown."""
        picture = self.background.copy()
        for n, (track, place) in enumerate(zip(self.film.tracks, self.places, strict=True)):
            picture.paste(self._panel(n, track.index(number)), place)
        draw = ImageDraw.Draw(picture)
        x = self.playhead(number)
        top, bottom = self.span
        draw.line([(x, top), (x, bottom)], fill=INK, width=3)
        draw.polygon([(x - 8, top - 9), (x + 8, top - 9), (x, top + 3)], fill=INK)
        time = f"{self.film.ms(number):.0f} ms"
        draw.text((self.width - MARGIN, 44), time, font=self.font, fill=INK, anchor="rs")
        return picture

    def playhead(self, number: float) -> int:
        """Where on the time line it stands, in px from the left."""
        return round(float(self.axes.transData.transform((self.film.ms(number), 0))[0]))

    def _scaled(self, n: int, index: int | None) -> Image.Image:
        """A panel's picture in a square, whatever shape it has; grey where the feature has no frame."""
        square = Image.new("RGB", (SIDE, SIDE), NOTHING if index is None else "white")
        if index is None:
            middle = (SIDE // 2, SIDE // 2)
            ImageDraw.Draw(square).text(middle, "no frame", font=self.font, fill=QUIET, anchor="mm")
            return square
        one = Image.fromarray(np.ascontiguousarray(self.film.tracks[n].rgb[index]))
        scale = SIDE / max(one.size)
        one = one.resize((round(one.width * scale), round(one.height * scale)), Image.Resampling.BICUBIC)
        square.paste(one, ((SIDE - one.width) // 2, (SIDE - one.height) // 2))
        ImageDraw.Draw(square).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=NOTHING)
        return square

    def _stays(self, speed: float) -> None:
        figure = Figure(figsize=(self.width / 100, self.height / 100), dpi=100, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        self._words(figure, speed)
        box = (MARGIN + 52, 54, self.width - 2 * MARGIN - 62, LINE - 78)  # left, bottom, width, height in px
        self.axes = figure.add_axes(
            (box[0] / self.width, box[1] / self.height, box[2] / self.width, box[3] / self.height)
        )
        self._line(self.axes)
        canvas.draw()
        self.span = (self.height - box[1] - box[3], self.height - box[1])
        self.background = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())

    def _words(self, figure: Figure, speed: float) -> None:
        def text(x: float, y: float, words: str, size: float, colour: str = INK, **more: Any) -> None:
            figure.text(x / self.width, 1 - y / self.height, words, size=size, color=colour, va="baseline", **more)

        text(MARGIN, 42, self.film.title, 16, weight="bold")
        slow = "at real speed" if speed == 1 else f"at {speed:g} of real speed"
        text(MARGIN, 68, f"{self.film.facts} · {slow}", 11, QUIET)
        for track, (x, y) in zip(self.film.tracks, self.places, strict=True):
            still = len(track.rgb) == 1 and len(track.positions) > 0  # of one moment, whatever the playhead says
            when = f", at {self.film.ms(track.positions[0]):.0f} ms" if still else ""
            text(x, y - 12, track.title + when, 13)
            text(x + SIDE, y - 12, track.node, 9, QUIET, ha="right")
            if track.key is None:
                continue
            wide = min(140, 64 * track.key.shape[1] // track.key.shape[0])
            high = 64 * track.key.shape[0] // track.key.shape[1] if wide == 140 else 64
            image = Image.fromarray(track.key).resize((wide, max(12, high)), Image.Resampling.LANCZOS)
            figure.figimage(np.asarray(image), x, self.height - y - SIDE - 46 - image.height // 2)
            text(x + wide + 14, y + SIDE + 51, track.scale, 12)

    def _line(self, axes: Axes) -> None:
        film = self.film
        axes.set_xlim(film.ms(film.start), film.ms(film.end))
        axes.set_ylim(0, 1)
        if film.curve:
            numbers, values = film.curve
            axes.fill_between([film.ms(n) for n in numbers], values, color="#dddddd")
            axes.plot([film.ms(n) for n in numbers], values, color=QUIET, linewidth=1.5)
            axes.set_ylim(0, max(0.5, 1.4 * float(values.max())))
            axes.set_ylabel("motion, px", size=10)
        else:
            axes.set_yticks([])
        for mark, number in film.marks.items():
            axes.axvline(film.ms(number), color=MARKS[mark], linewidth=2.5)
            axes.annotate(
                mark,
                (film.ms(number), 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -3) if mark != "offset" else (-4, -3),
                textcoords="offset points",
                ha="left" if mark != "offset" else "right",
                va="top",
                size=11,
                color=MARKS[mark],
                weight="bold",
            )
        axes.set_xlabel("time after onset, ms", size=10)
        axes.spines[["top", "right"]].set_visible(False)
