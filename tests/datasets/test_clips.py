"""Decoding: what comes out is what was written, and whatever is missing or damaged is named."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.datasets.clips import digest, open_clip, signature
from mepipe.datasets.frames import numbered_frames
from mepipe.errors import MepipeError, SampleError


def picture(number: int, shape: tuple[int, ...] = (24, 32, 3), dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def write_folder(folder: Path, numbers: range, name: str = "img{}.png", **kwargs: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        shown = picture(number, **kwargs)  # type: ignore[arg-type]
        cv2.imwrite(str(folder / name.format(number)), shown[:, :, ::-1] if shown.ndim == 3 else shown)
    return folder


def write_video(path: Path, count: int) -> Path:
    """Frame k is a gray level of 20 + 16 k: legible after lossy compression."""
    codec = "mp4v" if path.suffix == ".mp4" else "MJPG"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48))
    for number in range(count):
        video.write(np.full((48, 64, 3), 20 + 16 * number, np.uint8))
    video.release()
    return path


@pytest.mark.parametrize("name", ["img{}.png", "reg_img{:05d}.bmp", "006_1_{:04d}.tif", "{}.PNG"])
def test_a_folder_gives_the_frames_asked_for_in_numeric_order(tmp_path: Path, name: str) -> None:
    source = open_clip(write_folder(tmp_path, range(7, 14), name), 8, 12)
    assert len(source) == 5
    got = list(source)
    assert [number for number, _ in got] == [8, 9, 10, 11, 12]
    for number, frame in got:
        np.testing.assert_array_equal(frame, picture(number))


def test_gray_keeps_one_channel(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(3), shape=(24, 32))
    for number, frame in open_clip(folder, 0, 2):
        np.testing.assert_array_equal(frame, picture(number, (24, 32))[:, :, None])


def test_16_bits_become_8(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(2), dtype=np.uint16)
    for number, frame in open_clip(folder, 0, 1):
        assert frame.dtype == np.uint8
        np.testing.assert_array_equal(frame, np.rint(picture(number, dtype=np.uint16) / 257).astype(np.uint8))


def test_decoding_is_lazy_and_repeatable(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(4))
    (folder / "img3.png").write_bytes(b"")
    frames = iter(open_clip(folder, 0, 3))
    assert [next(frames)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SampleError, match=r"Frame 3 .*img3\.png \(0 bytes\)"):
        next(frames)
    source = open_clip(folder, 0, 2)
    assert [n for n, _ in source] == [n for n, _ in source]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.995, 0.6, 0.05])
def test_a_truncated_frame_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    folder = write_folder(tmp_path, range(3), "img{}" + suffix)
    damaged = folder / f"img1{suffix}"
    data = damaged.read_bytes()
    damaged.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SampleError, match=f"Frame 1 is truncated .*img1{suffix}"):
        list(open_clip(folder, 0, 2))


def test_a_jpeg_whose_tail_was_never_written_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(2), "img{}.jpg", shape=(200, 300, 3))
    data = (folder / "img1.jpg").read_bytes()
    (folder / "img1.jpg").write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(SampleError, match=r"Frame 1 is truncated"):
        list(open_clip(folder, 0, 1))


def test_missing_frames_are_named_in_runs(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(10, 21))
    for number in (12, 13, 14, 18):
        (folder / f"img{number}.png").unlink()
    with pytest.raises(SampleError, match=r"5 of 12 frames are missing in .*: 12-14, 18, 21\.(?s:.*)10\.\.20"):
        open_clip(folder, 10, 21)
    assert len(open_clip(folder, 15, 17)) == 3, "gaps outside the range do not matter"


def test_frames_listed_as_missing_are_interpolated_in_time(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(8))
    for number in (3, 4):
        (folder / f"img{number}.png").unlink()
    got = dict(open_clip(folder, 1, 6, missing=(3, 4, 5)))  # 5 is there after all, and used
    assert list(got) == [1, 2, 3, 4, 5, 6]
    before, after = picture(2).astype(float), picture(5).astype(float)
    np.testing.assert_array_equal(got[5], picture(5))
    for number, part in ((3, 1 / 3), (4, 2 / 3)):
        assert got[number].dtype == np.uint8
        np.testing.assert_allclose(got[number], (1 - part) * before + part * after, atol=0.5 + 1e-4)
    with pytest.raises(SampleError, match="1 of 6 frames are missing"):
        open_clip(folder, 1, 6, missing=(3,))


def test_the_digest_knows_which_frame_was_missing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(6))
    (folder / "img2.png").rename(folder / "img3.png.away")
    first = digest(folder, 0, 5, missing=(2,))
    (folder / "img3.png").rename(folder / "img2.png")
    assert digest(folder, 0, 5, missing=(3,)) != first


def test_frames_of_another_size_or_kind_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, range(3))
    cv2.imwrite(str(folder / "img1.png"), picture(1, (24, 30, 3)))
    with pytest.raises(SampleError, match=r"Frame 1 .*30x24 in colour, frame 0 32x24 in colour"):
        list(open_clip(folder, 0, 2))
    cv2.imwrite(str(folder / "img1.png"), picture(1, (24, 32)))
    with pytest.raises(SampleError, match=r"Frame 1 .*32x24 in gray"):
        list(open_clip(folder, 0, 2))


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_a_video_is_counted_from_0_by_what_decodes(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}", 12)
    got = list(open_clip(path, 3, 11))
    assert [number for number, _ in got] == list(range(3, 12))
    for number, frame in got:
        assert frame.shape == (48, 64, 3)
        # Neighbours differ by 16 grey levels; compression changes a flat picture by a few.
        assert abs(float(frame.mean()) - (20 + 16 * number)) < 6


def test_video_colours_are_rgb(tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    video.write(np.full((48, 64, 3), (20, 60, 200), np.uint8))
    video.release()
    ((_, frame),) = open_clip(tmp_path / "a.avi", 0, 0)
    np.testing.assert_allclose(frame.mean(axis=(0, 1)), (200, 60, 20), atol=4)  # JPEG's colour rounding


def test_a_video_that_ends_early_says_how_many_frames_it_has(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 6)
    with pytest.raises(SampleError, match=r"ends after 6 frames; frames 2\.\.9"):
        list(open_clip(path, 2, 9))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.avi", None, "No clip at"),
        ("bad.avi", b"not a video", "Cannot open the video"),
        ("one.png", b"", "neither a folder of frames nor a video"),
    ],
)
def test_what_is_not_a_clip_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SampleError, match=message):
        list(open_clip(tmp_path / name, 0, 1))


def test_onset_after_offset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="Onset 5 lies after offset 4"):
        open_clip(write_folder(tmp_path, range(6)), 5, 4)


def test_numbered_frames_pass_over_what_is_no_frame(tmp_path: Path) -> None:
    write_folder(tmp_path, range(9, 12), "img{}.png")
    for name in (".img9.png", "._img10.png", "notes12.txt", "cover.png"):
        (tmp_path / name).write_bytes(b"x")
    assert {n: p.name for n, p in numbered_frames(tmp_path).items()} == {n: f"img{n}.png" for n in (9, 10, 11)}
    assert list(numbered_frames(tmp_path)) == [9, 10, 11]


def test_a_number_twice_names_both_files(tmp_path: Path) -> None:
    write_folder(tmp_path, range(3), "img{}.png")
    write_folder(tmp_path, range(1, 2), "reg_img{:03d}.bmp")
    with pytest.raises(MepipeError, match=r"Frame 1 is there twice.*img1\.png and reg_img001\.bmp"):
        numbered_frames(tmp_path)
    with pytest.raises(SampleError, match="twice"):
        open_clip(tmp_path, 0, 2)


def test_no_image_and_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a1.txt").write_bytes(b"")
    with pytest.raises(MepipeError, match="No numbered image"):
        numbered_frames(tmp_path)
    with pytest.raises(MepipeError, match="No folder"):
        numbered_frames(tmp_path / "gone")


@given(numbers=st.sets(st.integers(0, 10**8), min_size=1, max_size=12), padding=st.integers(1, 9))
def test_numbers_survive_any_padding(tmp_path_factory: pytest.TempPathFactory, numbers: set[int], padding: int) -> None:
    folder = tmp_path_factory.mktemp("frames")
    for number in numbers:
        (folder / f"s03_po_08_{number:0{padding}d}.jpg").write_bytes(b"")
    assert list(numbered_frames(folder)) == sorted(numbers)


def test_the_digest_follows_content_and_the_signature_files(tmp_path: Path) -> None:
    a = write_folder(tmp_path / "a", range(5), "img{}.png")
    b = write_folder(tmp_path / "b", range(6), "frame_{:04d}.png")
    assert len(digest(a, 0, 4)) == len(signature(a, 0, 4)) == 32
    assert digest(a, 0, 4) == digest(b, 0, 4), "names and frames outside the range do not matter"
    assert signature(a, 0, 4) != signature(b, 0, 4)
    assert digest(a, 0, 3) != digest(a, 0, 4) != digest(a, 1, 4)

    before = digest(a, 0, 4), signature(a, 0, 4)
    os.utime(a / "img2.png", ns=(0, 0))
    assert digest(a, 0, 4) == before[0]
    assert signature(a, 0, 4) != before[1]
    cv2.imwrite(str(a / "img2.png"), picture(99))
    assert digest(a, 0, 4) != before[0]
    (a / "img2.png").rename(a / "swap.png")
    (a / "img3.png").rename(a / "img2.png")
    (a / "swap.png").rename(a / "img3.png")
    assert digest(a, 0, 4) not in (before[0], digest(b, 0, 4))


def test_the_digest_of_a_video_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 4)
    copy = tmp_path / "b.avi"
    copy.write_bytes(path.read_bytes())
    assert digest(path, 0, 3) == digest(copy, 0, 3)
    copy.write_bytes(path.read_bytes() + b"\0")
    assert digest(path, 0, 3) != digest(copy, 0, 3)


def test_real_videos_decode_to_the_frames_they_are_said_to_have(faces: Path) -> None:
    # Counts from the folder's README; variable frame rate, HEVC, MPEG-1, Motion JPEG, lossless gray.
    for name, count, channels in (
        ("pyfeat_face_then_no_face_vfr.mov", 169, 3),
        ("intel_woman_head_turns_12fps.avi", 23, 3),
        ("grid_woman_grayscale_1ch_25fps.mkv", 75, 1),
        ("grid_man_glasses_speaking_25fps.mpg", 75, 3),
    ):
        ((_, last),) = open_clip(faces / name, count - 1, count - 1)
        assert last.shape[2] == channels, name
        with pytest.raises(SampleError, match=f"ends after {count} frames"):
            list(open_clip(faces / name, count, count))
