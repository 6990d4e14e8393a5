"""Decoding clips, strictly: a frame that is missing or damaged is named, never dropped, guessed or shifted by one.

A clip is a folder of numbered frames or a video. Frame numbers are those of the files; in a video they count decoded
frames from 0, whatever the container says about time or length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mepipe.datasets.frames import numbered_frames, ranges, runs
from mepipe.errors import MepipeError, SampleError

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mpg", ".mpeg", ".mov"})
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ClipSource:
    """Frames onset..offset of a clip; iterate it for (number, uint8 [H, W, C]) in order, C = 1 or 3 (RGB).

    Frames are decoded one at a time, on the way, and again on each iteration. All are of one size and number of
    channels. A frame that the manifest says is missing is interpolated between its neighbours. Raises SampleError where
    another cannot be had.
    """

    path: Path
    numbers: range
    files: Mapping[int, Path] | None  # None for a video

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        pictures = _video_frames(self.path, self.numbers) if self.files is None else _image_frames(self.files)
        before, last = next(pictures)
        yield before, last
        for number, frame in pictures:
            if frame.shape != last.shape:
                msg = (
                    f"Frame {number} of {self.path} is {_size(frame.shape)}, frame {before} {_size(last.shape)}.\n"
                    "The frames of one clip must be of one size and kind; take out what does not belong to it."
                )
                raise SampleError(msg)
            for lacking in range(before + 1, number):
                yield lacking, _between(last, frame, (lacking - before) / (number - before))
            yield number, frame
            before, last = number, frame


def open_clip(path: Path, onset: int, offset: int, missing: Collection[int] = ()) -> ClipSource:
    """Frames onset..offset (both included) of a frame folder or of a video file, to be decoded on iteration.

    16-bit pictures are scaled to 8 bits over their full range, gray ones keep one channel, transparency is dropped,
    EXIF rotation is applied. missing: numbers between onset and offset that a folder need not hold. Raises SampleError
    when the path, another frame of the folder, or the kind of file is not there; what only decoding shows (damaged
    frames, a video that ends early) is raised on iteration.
    """
    if onset > offset:
        msg = f"Onset {onset} lies after offset {offset} in {path}.\nCorrect the manifest."
        raise SampleError(msg)
    return ClipSource(path, range(onset, offset + 1), _files(path, onset, offset, missing))


def digest(path: Path, onset: int, offset: int, missing: Collection[int] = ()) -> str:
    """Identity of what a clip holds: 32 hex digits over the frame numbers and the encoded bytes of their files.

    For a video, of the whole file. File names and times do not matter. Raises SampleError as `open_clip` does.
    """
    state = hashlib.blake2b(_span(onset, offset, missing), digest_size=16)
    for file in _sources(path, onset, offset, missing):
        try:
            # The length before the bytes, so that bytes cannot move from one frame to the next unnoticed.
            state.update(f"|{file.stat().st_size}|".encode())
            with file.open("rb") as stream:
                while block := stream.read(_CHUNK):
                    state.update(block)
        except OSError as error:
            raise _unreadable(file, error) from error
    return state.hexdigest()


def signature(path: Path, onset: int, offset: int, missing: Collection[int] = ()) -> str:
    """Cheap stand-in for `digest`: 32 hex digits over name, size and time of change of the same files.

    Equal signatures on one machine mean equal digests unless somebody set the time back by hand.
    """
    state = hashlib.blake2b(_span(onset, offset, missing), digest_size=16)
    for file in _sources(path, onset, offset, missing):
        try:
            facts = file.stat()
        except OSError as error:
            raise _unreadable(file, error) from error
        state.update(f"|{file.name}|{facts.st_size}|{facts.st_mtime_ns}".encode())
    return state.hexdigest()


def _span(onset: int, offset: int, missing: Collection[int]) -> bytes:
    return f"{onset}-{offset}{' without ' if missing else ''}{' '.join(map(str, sorted(missing)))}".encode()


def _files(path: Path, onset: int, offset: int, lacking: Collection[int]) -> dict[int, Path] | None:
    """Number -> file for a frame folder, None for a video."""
    if path.is_file():
        if lacking:
            msg = f"{path} is a video, and the manifest lists missing frames.\nOnly a folder of frames can lack some."
            raise SampleError(msg)
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            msg = (
                f"{path} is neither a folder of frames nor a video ({', '.join(sorted(VIDEO_SUFFIXES))}).\n"
                "Name the folder or the video; a single picture is not a clip."
            )
            raise SampleError(msg)
        return None
    if not path.exists():
        msg = f"No clip at {path}.\nCheck the root, and the clip's path in the manifest."
        raise SampleError(msg)
    try:
        there = numbered_frames(path)
    except MepipeError as error:
        raise SampleError(str(error)) from error
    expected = [number for number in range(onset, offset + 1) if number in there or number not in lacking]
    missing = [number for number in expected if number not in there]
    if missing:
        first, *_, last = (*there, max(there))
        msg = (
            f"{len(missing)} of {offset - onset + 1} frames are missing in {path}: {ranges(runs(missing))}.\n"
            f"The manifest asks for {onset}..{offset}; the folder holds {len(there)} frames, {first}..{last}.\n"
            "Copy the missing frames from the release, or correct onset and offset in the manifest."
        )
        raise SampleError(msg)
    return {number: there[number] for number in expected}


def _sources(path: Path, onset: int, offset: int, missing: Collection[int]) -> list[Path]:
    """The files that a clip is decoded from."""
    files = _files(path, onset, offset, missing)
    return [path] if files is None else list(files.values())


def _image_frames(files: Mapping[int, Path]) -> Iterator[tuple[int, np.ndarray]]:
    import cv2

    for number, file in files.items():
        try:
            data = file.read_bytes()
        except OSError as error:
            raise _unreadable(file, error) from error
        # Decoded from memory: cv2.imread makes half-gray pictures of truncated files, imdecode refuses them; a JPEG
        # whose tail was never written (zeros) has enough bytes to please it, but no end marker after its scan.
        whole = not data.startswith(b"\xff\xd8") or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
        picture = (
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
            if data and whole
            else None
        )
        if picture is None:
            msg = (
                f"Frame {number} is truncated or not a picture: {file} ({len(data)} bytes).\n"
                "Copy it again from the release, or leave the clip out."
            )
            raise SampleError(msg)
        yield number, _as_rgb(picture, file)


def _between(before: np.ndarray, after: np.ndarray, part: float) -> np.ndarray:
    """Linear in time: uint8 of the same shape."""
    return np.rint(before + part * (after.astype(np.float32) - before)).astype(np.uint8)


def _as_rgb(picture: np.ndarray, file: Path) -> np.ndarray:
    """What OpenCV decodes, BGR or gray, 8 or 16 bits -> uint8 [H, W, C], RGB or gray."""
    if picture.dtype == np.uint16:
        picture = ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if picture.dtype != np.uint8:
        msg = f"{file} holds {picture.dtype} values.\nConvert the frames to 8 or 16 bits."
        raise SampleError(msg)
    return picture[:, :, None] if picture.ndim == 2 else np.ascontiguousarray(picture[:, :, ::-1])


def _video_frames(path: Path, numbers: range) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes from the first frame on, since seeking lands on the wrong frame in many containers."""
    import cv2

    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            msg = f"Cannot open the video {path}.\nIt is damaged or of an unknown kind: copy it again, or convert it."
            raise SampleError(msg)
        gray = int(video.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)).to_bytes(4, "little") in (
            b"Y800",
            b"GREY",
            b"Y8  ",
        )
        for number in range(numbers.stop):
            # The frame count in the header is a guess; only decoding tells where a video ends.
            if not video.grab():
                msg = (
                    f"{path} ends after {number} frames; frames {numbers[0]}..{numbers[-1]} were asked for.\n"
                    "Frames of a video count from 0. Correct onset and offset in the manifest, or copy the video again "
                    "if it was cut short."
                )
                raise SampleError(msg)
            if number < numbers.start:
                continue
            decoded, picture = video.retrieve()
            if not decoded:
                msg = f"Frame {number} of {path} cannot be decoded.\nCopy the video again from the release."
                raise SampleError(msg)
            # OpenCV gives three equal channels for a gray video.
            yield number, _as_rgb(picture[:, :, 0].copy() if gray and picture.ndim == 3 else picture, path)
    finally:
        video.release()


def _unreadable(file: Path, error: OSError) -> SampleError:
    return SampleError(f"Cannot read {file}: {error.strerror}.\nCheck its permissions and the disk it lies on.")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} in {'gray' if shape[2] == 1 else 'colour'}"
