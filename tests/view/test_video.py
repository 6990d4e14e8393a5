"""Films of a store whose values are known: how long, how many frames, and what colour where and when."""

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgb
from PIL import Image

from mepipe import store
from mepipe.cli import cli
from mepipe.errors import MepipeError, UsageError
from mepipe.view import canvas, encode, video
from mepipe.view.colour import flow_colours
from mepipe.view.sample import MARKS
from tests.view import known_store

FPS, SPEED = 100, 0.2
CENTRE = canvas.SIDE // 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "s"
    known_store.write(place, {"a": {}, "b": {"apex": None}, "c": {"fps": 0.001}, "d": {}}, failed=("d",))
    return place


@pytest.fixture(scope="module")
def film(root):
    return video.film(store.open(root).features("demo"), "demo", "a")


def centres(picture, panels):
    """The colour in the middle of each panel."""
    left = (picture.width - panels * canvas.SIDE - (panels - 1) * canvas.GAP) // 2
    return [
        picture.getpixel((left + n * (canvas.SIDE + canvas.GAP) + CENTRE, canvas.TOP + CENTRE)) for n in range(panels)
    ]


def expected(number):
    """Grey of the frame that is on at a frame number, and the colour of the flow."""
    shown = max(n for n, position in enumerate(known_store.POSITIONS["frames"]) if position <= number + 1e-6)
    grey = known_store.GREYS[shown]
    flow = [(255, 255, 255), (255, 128, 128), (255, 0, 0), (0, 255, 255), (255, 255, 255)][shown]
    return (grey, grey, grey), flow


def test_frames_are_held_from_their_position_to_the_next(film):
    """Frames 10 to 18, two apart, the last held as long as the others: .1 s, five times as slow half a second."""
    assert (film.start, film.end) == (10, 20)
    numbers = film.numbers(SPEED, 50)
    assert len(numbers) == 25
    np.testing.assert_allclose(np.diff(numbers), 0.4)
    frames, flow = film.tracks
    assert [frames.index(n) for n in numbers] == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5
    assert [flow.index(n) for n in numbers] == [frames.index(n) for n in numbers]  # at the onset there is no motion
    assert frames.index(9.9) is None
    assert frames.index(20) is None
    assert len(film.numbers(1, 50)) == 5


def test_time_counts_from_the_onset_at_the_rate_of_the_recording(film):
    assert [film.ms(n) for n in (10, 14, 18)] == [0, 40, 80]
    assert film.marks == {"onset": 10, "apex": 14, "offset": 18}
    drawn = canvas.Canvas(film, SPEED)
    places = [drawn.playhead(n) for n in (10, 14, 18, 20)]
    assert np.ptp(np.diff(places) / [4, 4, 2]) < 0.5  # as wide as long
    middle = (drawn.span[0] + drawn.span[1]) // 2
    for mark, x in zip(MARKS, places, strict=False):
        colour = np.array(to_rgb(MARKS[mark])) * 255
        line = [drawn.background.getpixel((x + dx, middle)) for dx in (-1, 0, 1)]
        assert min(np.abs(np.array(line) - colour).max(axis=1)) < 20, mark
    picture = drawn.at(14)
    assert max(picture.getpixel((places[1], middle))) < 60


def test_pictures_have_the_stored_colours(film):
    numbers = film.numbers(SPEED, 50)
    for number, picture in zip(numbers, video.pictures(film, SPEED, 50), strict=True):
        for found, wanted in zip(centres(picture, 2), expected(number), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1)
    assert picture.width % 2 == picture.height % 2 == 0


def test_the_curve_is_the_motion(film):
    numbers, values = film.curve
    assert numbers.tolist() == [10, 12, 14, 16, 18]
    np.testing.assert_allclose(values, [0, 1, 2, 2, 0])


def test_an_mp4_plays_and_has_the_colours_of_its_time(film, tmp_path):
    """H.264 in yuv420p is what every browser, PowerPoint and Keynote play."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "a.mp4"
    encode.write(path, video.pictures(film, SPEED, encode.rate(path)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it begins to play before it is there
    about, *raw = ffmpeg.read_frames(str(path))
    assert (about["codec"], about["fps"]) == ("h264", 50)
    assert about["pix_fmt"].startswith("yuv420p(tv, bt709")
    assert len(raw) == 25
    for number, one in zip(film.numbers(SPEED, 50), raw, strict=True):
        picture = Image.frombytes("RGB", about["size"], one)
        for found, wanted in zip(centres(picture, 2), expected(number), strict=True):
            np.testing.assert_allclose(found, wanted, atol=5)


def test_a_gif_lasts_as_long(film, tmp_path):
    path = tmp_path / "a.gif"
    encode.write(path, video.pictures(film, SPEED, encode.rate(path)))
    gif = Image.open(path)
    seconds = 0
    for n in range(gif.n_frames):
        gif.seek(n)
        number = film.start + seconds * SPEED * FPS + 1e-6
        for found, wanted in zip(centres(gif.convert("RGB"), 2), expected(number), strict=True):
            np.testing.assert_allclose(found, wanted, atol=10)
        seconds += gif.info["duration"] / 1000
    assert seconds == pytest.approx(0.48)  # 12 of 40 ms, of half a second


def test_a_gif_keeps_the_colours_of_a_key_beside_all_greys():
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 1), np.uint8).repeat(3, axis=2)
    grid = np.linspace(-1, 1, 60)
    noise[:60, :60] = 255 * flow_colours(np.stack(np.meshgrid(grid, grid)), 1.0)
    kept = np.asarray(encode._in_256_colours(Image.fromarray(noise)).convert("RGB"))
    away = np.abs(kept[:60, :60].astype(int) - noise[:60, :60]).mean()
    assert away < 12  # of 255; a median cut loses 32


def test_parts_without_a_frame_are_grey(root):
    features = store.open(root).features("demo")
    made = video.film(features, "demo", "a", ["flow.tvl1"])
    track = made.tracks[0]
    late = video.Track(track.title, track.node, track.rgb[3:], track.positions[3:])
    picture = canvas.Canvas(video.Film("t", "f", [late], made.fps, made.marks, None), 1).at(11)
    left = (picture.width - canvas.SIDE) // 2
    assert picture.getpixel((left + 20, canvas.TOP + 20)) == canvas.NOTHING
    assert [t.title for t in made.tracks] == ["optical flow"]


def test_what_cannot_be_shown_is_said(root):
    features = store.open(root).features("demo")
    with pytest.raises(UsageError, match=r"Nothing to show under 'flow'. Did you mean 'flow.tvl1'\? There is: f"):
        video.film(features, "demo", "a", ["flow"])
    with pytest.raises(UsageError, match=r"a film of 50000 s; 300 is the limit. Raise --speed"):
        video.film(features, "demo", "c").numbers(0.2, 50)
    with pytest.raises(MepipeError, match="align: no face"):
        video.film(features, "demo", "d")
    assert "apex" not in video.film(features, "demo", "b").marks
    with pytest.raises(UsageError, match=r"ends in \.mp4 or \.gif"):
        encode.rate(root / "film.avi")


def test_the_command(root, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli, ["export-video", *arguments, "--store", str(root)], catch_exceptions=False)

    made = run("a", "-o", str(tmp_path / "films" / "a.gif"), "--speed", "0.5")
    assert "0.2 s, 2 panels" in made.stdout
    assert "shows a face of demo" in made.stderr
    assert Image.open(tmp_path / "films" / "a.gif").n_frames == 5
    with pytest.raises(UsageError, match=r"No sample 'aa' in demo. Did you mean 'a'\?"):
        run("aa")
