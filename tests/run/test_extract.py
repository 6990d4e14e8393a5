"""The engine: what is computed, cached, failed, taken over. What kills and crowds cannot do: tests/faults."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe import store as stores
from mepipe.datasets.manifest import dump
from mepipe.store.verify import verify
from tests.run import stages_for_tests as cheap

SAMPLES = 8


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, Path]:
    """Clips of different lengths as PNG folders, and their manifest."""
    return cheap.write_release(tmp_path, SAMPLES)


def arrays(store: Path) -> dict[str, dict[str, np.ndarray]]:
    found = stores.open(store).features("tiny")
    return {node: {s: f[s] for s in f.done} for node, f in found.items()}


def same(a: dict[str, dict[str, np.ndarray]], b: dict[str, dict[str, np.ndarray]]) -> bool:
    return all(
        a[n].keys() == b[n].keys() and all(np.array_equal(a[n][s], b[n][s]) for s in a[n]) for n in a.keys() | b.keys()
    )


def edit(manifest: Path, sample: str, **fields: object) -> None:
    from mepipe.datasets.manifest import read

    manifest.write_text(dump(s.model_copy(update=fields) if s.id == sample else s for s in read(manifest)))


def test_workers_and_one_process_give_the_same_bytes(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "a", *release, workers=1)
    cheap.extract(tmp_path / "b", *release, workers=3)
    assert same(arrays(tmp_path / "a"), arrays(tmp_path / "b"))
    one = arrays(tmp_path / "a")
    assert one["cut"]["s7"].shape == (41, 16, 16, 1)
    np.testing.assert_array_equal(one["mean"]["s7"], one["cut"]["s7"][:3].mean(0, dtype=np.float32).astype(np.float16))


def test_a_second_run_computes_nothing(release: tuple[Path, Path], tmp_path: Path) -> None:
    first = cheap.extract(tmp_path / "s", *release, workers=1)
    second = cheap.extract(tmp_path / "s", *release, workers=1)
    assert first.computed == {"cut": SAMPLES, "mean": SAMPLES}
    assert (second.computed, second.cached) == ({}, {"cut": SAMPLES, "mean": SAMPLES})


def test_a_corrected_apex_recomputes_one_sample_of_what_reads_it(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    before = arrays(tmp_path / "s")
    edit(release[1], "s3", apex=14)
    summary = cheap.extract(tmp_path / "s", *release, workers=1)
    assert summary.computed == {"mean": 1}
    assert summary.adopted == {"cut": SAMPLES, "mean": SAMPLES - 1}
    after = arrays(tmp_path / "s")
    assert not np.array_equal(before["mean"]["s3"], after["mean"]["s3"])
    after["mean"]["s3"] = before["mean"]["s3"]
    assert same(before, after)


def test_a_changed_frame_recomputes_its_sample(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    cv2.imwrite(str(release[0] / "clip2" / "img11.png"), np.full((24, 32), 77, np.uint8))
    summary = cheap.extract(tmp_path / "s", *release, workers=1)
    assert summary.computed == {"cut": 1, "mean": 1}
    assert (arrays(tmp_path / "s")["cut"]["s2"][1] == 77).all()


def test_an_emotion_is_no_reason_to_compute(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    edit(release[1], "s3", emotion="surprise")
    assert cheap.extract(tmp_path / "s", *release, workers=1).computed == {}
    table = stores.open(tmp_path / "s").feature("tiny/cut").table
    assert table.loc["s3", "emotion"] == "surprise"


def test_samples_may_come_go_and_change_places(release: tuple[Path, Path], tmp_path: Path) -> None:
    from mepipe.datasets.manifest import read

    samples = read(release[1])
    release[1].write_text(dump(samples[1:5]))
    cheap.extract(tmp_path / "s", *release, workers=1)
    release[1].write_text(dump(samples[::-1]))
    summary = cheap.extract(tmp_path / "s", *release, workers=1)
    assert summary.computed["cut"] == SAMPLES - 4
    cheap.extract(tmp_path / "fresh", *release, workers=1)
    assert same(arrays(tmp_path / "s"), arrays(tmp_path / "fresh"))


def test_a_changed_parameter_stands_beside_the_old(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    summary = cheap.extract(tmp_path / "s", *release, workers=1, mean={"scale": 2.0})
    assert (summary.computed["mean"], summary.cached["cut"]) == (SAMPLES, SAMPLES)
    assert len([f for f in stores.open(tmp_path / "s").all() if f.attributes["node"] == "mean"]) == 2


def test_one_bad_clip_is_reported_and_the_rest_go_on(release: tuple[Path, Path], tmp_path: Path) -> None:
    for n in range(10, 60):
        if (file := release[0] / "clip1" / f"img{n}.png").exists():
            cv2.imwrite(str(file), np.zeros((24, 32), np.uint8))
    (release[0] / "clip4" / "img12.png").write_bytes(b"\x89PNG")
    summary = cheap.extract(tmp_path / "s", *release, workers=2)
    assert summary.computed["cut"] == SAMPLES - 2
    assert set(summary.failed_samples) == {"s1", "s4"}
    assert "the clip is black" in summary.failed_samples["s1"]
    assert "img12.png" in summary.failed_samples["s4"]
    again = cheap.extract(tmp_path / "s", *release, workers=1)
    assert (again.computed, set(again.failed_samples)) == ({}, {"s1", "s4"})
    retried = cheap.extract(tmp_path / "s", *release, workers=1, retry=True)
    assert set(retried.failed_samples) == {"s1", "s4"}
    feature = stores.open(tmp_path / "s").feature("tiny/cut")
    assert "img12.png" in feature.failed["s4"]
    assert feature.missing == []


def test_a_clip_that_kills_its_worker_is_put_aside_and_the_rest_go_on(
    release: tuple[Path, Path], tmp_path: Path
) -> None:
    for n in range(10, 60):
        if (file := release[0] / "clip5" / f"img{n}.png").exists():
            cv2.imwrite(str(file), np.ones((24, 32), np.uint8))
    summary = cheap.extract(tmp_path / "s", *release, workers=2)
    assert summary.computed["mean"] == SAMPLES - 1
    assert list(summary.failed_samples) == ["s5"]
    assert "killed twice" in summary.failed_samples["s5"]
    cv2.imwrite(str(release[0] / "clip5" / "img11.png"), np.full((24, 32), 90, np.uint8))
    assert cheap.extract(tmp_path / "s", *release, workers=1).computed == {"cut": 1, "mean": 1}


def test_a_damaged_sample_alone_is_computed_again(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    before = arrays(tmp_path / "s")
    feature = stores.open(tmp_path / "s").feature("tiny/cut")
    file = tmp_path / "s" / feature.chunks(6)[-1]
    file.chmod(0o644)  # finished data is read-only
    file.write_bytes(file.read_bytes()[:-9])
    assert list(verify(feature)) == ["s6"]
    summary = cheap.extract(tmp_path / "s", *release, workers=1)
    assert summary.computed == {"cut": 1}
    assert same(before, arrays(tmp_path / "s"))
    assert verify(stores.open(tmp_path / "s").feature("tiny/cut")) == {}
