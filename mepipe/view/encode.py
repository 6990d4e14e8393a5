"""Pictures to a film that plays elsewhere: MP4 (H.264, by imageio-ffmpeg's program) or GIF (by Pillow)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mepipe.errors import MepipeError, UsageError
from mepipe.store.files import private_name

RATES = {".mp4": 50, ".gif": 25}  # frames per second; a GIF counts hundredths, and browsers slow down what is faster
# Untagged, half of all players take the colours for BT.601 and half for BT.709.
_COLOURS = ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_primaries", "bt709"]
_COLOURS += ["-color_trc", "bt709", "-color_range", "tv"]
_SMALL = ["-crf", "17", "-preset", "medium", "-movflags", "+faststart"]


def rate(path: Path) -> int:
    """Frames per second of a film of that name; UsageError where its kind is unknown, or cannot be written here."""
    suffix = path.suffix.lower()
    if suffix not in RATES:
        msg = f"{path}: what kind of film? Name one that ends in .mp4 or .gif."
        raise UsageError(msg)
    if suffix == ".mp4":
        _encoder()
    return RATES[suffix]


def _encoder() -> str:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        msg = (
            "An MP4 needs imageio-ffmpeg: pip install 'mepipe[video]'. Or name a GIF, which needs nothing: -o FILE.gif"
        )
        raise UsageError(msg) from None


def write(path: Path, pictures: Iterator[Image.Image]) -> None:
    """The film, whole or not at all; pictures are RGB, of one size, both sides even."""
    path.parent.mkdir(parents=True, exist_ok=True)
    private = private_name(path).with_suffix(path.suffix.lower())
    try:
        (_mp4 if private.suffix == ".mp4" else _gif)(private, pictures)
        private.replace(path)
    finally:
        private.unlink(missing_ok=True)


def _mp4(path: Path, pictures: Iterator[Image.Image]) -> None:
    import imageio_ffmpeg

    first = next(pictures)
    film = imageio_ffmpeg.write_frames(
        str(path.absolute()),
        first.size,
        fps=RATES[".mp4"],
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=[*_COLOURS, *_SMALL],
    )
    try:
        film.send(None)
        for picture in itertools.chain([first], pictures):
            film.send(picture.tobytes())
    except OSError as error:
        msg = f"{path.parent}: ffmpeg stopped ({error}). Check free space, or write a GIF: -o FILE.gif"
        raise MepipeError(msg) from error
    finally:
        film.close()


def _gif(path: Path, pictures: Iterator[Image.Image]) -> None:
    made = map(_in_256_colours, pictures)
    first = next(made)
    first.save(path, save_all=True, append_images=made, duration=1000 // RATES[".gif"], loop=0)


def _in_256_colours(picture: Image.Image) -> Image.Image:
    """By an octree, which keeps the few colours of a key among all the greys of a face; a median cut loses them."""
    palette = picture.quantize(256, Image.Quantize.FASTOCTREE)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
