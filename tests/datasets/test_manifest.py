from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mepipe.datasets.manifest import Sample, dump, parse, read
from mepipe.errors import MepipeError

HEADER = "clip,onset,apex,offset,fps\n"


def test_the_required_columns_are_enough() -> None:
    (sample,) = parse(HEADER + "videos/ann 01.mp4,3,,40,30\n")
    assert sample == Sample(id="ann 01", subject="ann 01", clip="videos/ann 01.mp4", onset=3, offset=40, fps=30)
    assert sample.apex is None


def test_numbers_as_spreadsheets_write_them_and_a_byte_order_mark_are_read() -> None:
    (sample,) = parse("\ufeff" + HEADER + "a,3.0,5.0,40.0,29.97\n")
    assert (sample.onset, sample.apex, sample.offset, sample.fps) == (3, 5, 40, 29.97)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "a,5,,3,200\n", "line 2: onset 5 lies after offset 3"),
        (HEADER + "a,5,90,30,200\n", "line 2: apex 90 lies outside onset 5 .. offset 30"),
        (HEADER + "a,5,,30,0\n", "line 2: fps"),
        (HEADER + "a,five,,30,200\n", r"line 2: onset: .*'five'"),
        (HEADER + "a,5.5,,30,200\n", r"line 2: onset: .*'5.5'"),
        (HEADER + "a,5,,30,nan\n", "line 2: fps"),
        (HEADER + "a,5,,30\n", "line 2: 5 values expected"),
        (HEADER + "a,5,,30,200,1\n", "line 2: 5 values expected"),
        (HEADER + "../a,5,,30,200\n", "line 2: clip: a path inside the root"),
        (HEADER + "/etc/passwd,5,,30,200\n", "line 2: clip: a path inside the root"),
        (HEADER + "C:\\a,5,,30,200\n", "line 2: clip: a path inside the root"),
        (HEADER + "a,5,,30,200\nb/a,5,,30,200\n", "line 3: id 'a' stands in line 2 too"),
        (HEADER, "no samples"),
        ("", "missing clip, onset"),
        ("clip,onset,apex,offset,FPS\n", "missing fps; unknown 'FPS'"),
        ("clip,clip,onset,apex,offset,fps\n", "a column twice"),
    ],
)
def test_a_wrong_row_is_named(text: str, message: str) -> None:
    with pytest.raises(MepipeError, match=message):
        parse(text)


def test_a_manifest_that_is_not_there_comes_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MepipeError, match="mepipe manifest build samm"):
        read(tmp_path / "samm.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "samm.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(MepipeError, match="UTF-8"):
        read(tmp_path / "samm.csv")


NAMES = st.text(st.sampled_from("abcXYZ019_-. ()+"), min_size=1, max_size=12).filter(lambda s: s.strip(". ") == s)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).map(str.strip)


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    found = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        onset, apex, offset = sorted(draw(st.lists(st.integers(0, 10**6), min_size=3, max_size=3)))
        found.append(
            Sample(
                id=name,
                subject=draw(NAMES),
                clip=f"clips/{name}x",
                onset=onset,
                apex=draw(st.sampled_from([apex, None])),
                offset=offset,
                fps=draw(st.sampled_from([25.0, 29.97, 200.0, 500.0])),
                emotion=draw(TEXT),
                aus=draw(TEXT),
                objective=draw(st.sampled_from([None, 1, 7])),
                split=draw(TEXT),
                missing=tuple(n for n in (onset + 1, onset + 3) if n < offset) if draw(st.booleans()) else (),
                note=draw(TEXT),
            )
        )
    return found


@given(samples())
def test_what_is_dumped_is_parsed(found: list[Sample]) -> None:
    assert parse(dump(found)) == found


@settings(max_examples=300)
@given(st.text(max_size=120), st.booleans())
def test_no_text_makes_anything_but_samples_or_a_clear_error(text: str, header: bool) -> None:
    try:
        found = parse(HEADER + text if header else text)
    except MepipeError:
        return
    assert all(s.onset <= (s.apex or s.onset) <= s.offset for s in found)
