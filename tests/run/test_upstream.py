"""A store behind one's own: what is taken from it, what is computed all the same; and stores at a URL extracted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mepipe import store as stores
from mepipe.errors import MepipeError
from mepipe.run import extract as run
from mepipe.store import sync
from mepipe.store.verify import verify
from tests import remotes
from tests.remotes import Sshd, Tap, s3, sshd  # noqa: F401 - fixtures
from tests.run import stages_for_tests as cheap

SAMPLES = 4


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, Path]:
    """Clips of different lengths as PNG folders, the last one black, and their manifest."""
    return cheap.write_release(tmp_path, SAMPLES, step=9, last_black=True)


@pytest.fixture(params=["folder", "s3", "ssh"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where no store is yet."""
    if request.param == "s3":
        return f"{remotes.bucket(request.getfixturevalue('s3'))}/features.zarr"
    if request.param == "ssh":
        return request.getfixturevalue("sshd").url(tmp_path / "there" / "features.zarr")
    return str(tmp_path / "there" / "features.zarr")


def digests(url: str | Path) -> dict[str, dict[str, tuple[str, str, str]]]:
    found = stores.open(url).features("tiny")
    return {n: {s: (r.state, r.digest, r.reason) for s, r in f.records.items()} for n, f in found.items()}


def extract(store: Path, release: tuple[Path, Path], upstream: str, **how: bool) -> run.Summary:
    return run.run(cheap.make_plan(store, *release, upstream=upstream, **how), "cheap", 1)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_extraction_to_a_url_gives_the_digests_of_a_folder(
    release: tuple[Path, Path], url: str, tmp_path: Path, workers: int
) -> None:
    cheap.extract(tmp_path / "local", *release, workers=1)
    summary = cheap.extract(url, *release, workers=workers)
    assert summary.computed == {"cut": 3, "mean": 3}
    assert digests(url) == digests(tmp_path / "local")
    for feature in stores.open(url).all():
        assert not verify(feature)
    assert cheap.extract(url, *release, workers=workers).computed == {}


def test_what_upstream_has_is_taken_and_the_rest_computed(release: tuple[Path, Path], url: str, tmp_path: Path) -> None:
    cheap.extract(url, *release, workers=1)
    theirs = stores.open(url)
    cut = theirs.feature("tiny/cut")
    cut.ledger.append([replace(cut.records["s1"], state="damaged", digest="", turn=2)])  # not there any more
    todo = cheap.make_plan(tmp_path / "mine", *release, upstream=url)
    assert [(t.sample.id, sorted(t.wanted)) for t in todo.tasks] == [("s1", ["cut"])]
    summary = run.run(todo, "cheap", 1)
    assert (summary.computed, summary.upstream) == ({"cut": 1}, {"cut": 3, "mean": 4})
    cheap.extract(tmp_path / "alone", *release, workers=1)
    assert digests(tmp_path / "mine") == digests(tmp_path / "alone")
    again = extract(tmp_path / "mine", release, url)
    assert (again.computed, again.upstream) == ({}, {})


def test_a_changed_sample_is_computed(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "team", *release, workers=1)
    text = release[1].read_text()
    release[1].write_text(text.replace(",10,12,24,", ",10,14,24,"))
    assert release[1].read_text() != text
    summary = extract(tmp_path / "mine", release, str(tmp_path / "team"))
    assert (summary.computed, summary.upstream) == ({"mean": 1}, {"cut": 4, "mean": 3})


@pytest.mark.parametrize("url", ["folder", pytest.param("s3", marks=pytest.mark.slow), "ssh"], indirect=True)
def test_what_is_damaged_upstream_is_computed(release: tuple[Path, Path], url: str, tmp_path: Path) -> None:
    cheap.extract(url, *release, workers=1)
    cut = stores.open(url).feature("tiny/cut")
    cut.place.write(cut.chunks(0)[0], cut.place.read(cut.chunks(1)[0]))  # only the digest tells
    cut.place.remove(cut.chunks(2)[0])
    summary = extract(tmp_path / "mine", release, url)
    assert (summary.computed, summary.upstream) == ({"cut": 2}, {"cut": 2, "mean": 4})
    cheap.extract(tmp_path / "alone", *release, workers=1)
    assert digests(tmp_path / "mine") == digests(tmp_path / "alone")
    assert not verify(stores.open(tmp_path / "mine").feature("tiny/cut"))


def test_a_damaged_feature_upstream_is_passed_over(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "team", *release, workers=1)
    cut = tmp_path / "team" / stores.open(tmp_path / "team").feature("tiny/cut").path
    (cut / "data" / "zarr.json").unlink()
    summary = extract(tmp_path / "mine", release, str(tmp_path / "team"))
    assert (summary.computed, summary.upstream) == ({"cut": 3}, {"mean": 4})


def test_what_is_damaged_here_comes_from_upstream(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "team", *release, workers=1)
    cheap.extract(tmp_path / "mine", *release, workers=1)
    mine = stores.open(tmp_path / "mine").feature("tiny/cut")
    path = tmp_path / "mine" / mine.chunks(1)[0]
    path.unlink()
    assert list(verify(mine)) == ["s1"]
    summary = extract(tmp_path / "mine", release, str(tmp_path / "team"))
    assert (summary.computed, summary.upstream) == ({}, {"cut": 1})
    assert not verify(stores.open(tmp_path / "mine").feature("tiny/cut"))


def test_upstream_is_not_asked_where_everything_is_here(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "mine", *release, workers=1)
    assert extract(tmp_path / "mine", release, "ssh://127.0.0.1:9/nowhere").computed == {}


def test_an_upstream_that_cannot_be_asked_is_an_error_that_says_how_to_go_on(
    release: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("paramiko")
    for url in ("ssh://127.0.0.1:9/nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(MepipeError, match=r"upstream store cannot be asked.*--upstream none") as caught:
            cheap.make_plan(tmp_path / "mine", *release, upstream=url)
        assert "\n" not in str(caught.value)


def test_upstream_that_breaks_off_leaves_what_came(
    s3: Tap,  # noqa: F811
    release: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    url = f"{remotes.bucket(s3)}/features.zarr"
    cheap.extract(url, *release, workers=1)
    todo = cheap.make_plan(tmp_path / "mine", *release, upstream=url)
    s3.left = 3
    with pytest.raises(MepipeError):
        run.run(todo, "cheap", 1)
    s3.left = None
    again = extract(tmp_path / "mine", release, url)
    assert again.computed == {}
    assert sum(again.upstream.values()) > 0
    assert digests(tmp_path / "mine") == digests(url)


def test_upstream_is_only_read(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "team", *release, workers=1)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in (tmp_path / "team").rglob("*")}
    extract(tmp_path / "mine", release, str(tmp_path / "team"))
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in (tmp_path / "team").rglob("*")} == before


def test_what_is_pulled_is_not_computed(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "team", *release, workers=1)
    team, mine = stores.open(tmp_path / "team"), stores.create(tmp_path / "mine")
    sync.run(mine, sync.plan(mine, sync.choose(team)))
    assert cheap.extract(tmp_path / "mine", *release, workers=1).computed == {}
