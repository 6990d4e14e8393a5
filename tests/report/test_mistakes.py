"""Misclassified samples as pictures, of a store whose values are known; lineage; what is said where there is none."""

import base64
import io
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from PIL import Image

from mepipe.report import page
from mepipe.report.gather import account
from mepipe.report.mistakes import mistakes
from mepipe.train import runs
from tests.report.made import write_run
from tests.view import known_store

SAMPLES = {"a": {}, "b": {"apex": 12}, "c": {"apex": None}, "d": {}}
WHO = {"a": "s1", "b": "s1", "c": "s2", "d": "s2"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store, and a run that read its flow: a, b and c are wrong, d is right."""
    place = tmp_path_factory.mktemp("work")
    opened = known_store.write(place / "s", SAMPLES)
    feature = opened.feature("demo/flow.tvl1")
    read = {
        "snapshot": feature.path.split("/")[0],
        "features": {"flow.tvl1": {"path": feature.path, "key": feature.key}},
    }
    write_run(
        place / "run", [dict.fromkeys(SAMPLES, 1)], true={"a": 0, "b": 2, "c": 0, "d": 1}, subjects=WHO, read=read
    )
    return opened, account(runs.read(place / "run"))


def colours(picture):
    """The mean of what a data URL shows."""
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).mean(axis=(0, 1))


def test_each_has_onset_apex_and_flow_as_stored(made):
    found = mistakes(made[1], made[0], True, 24)
    assert (found.total, [m.prediction.sample for m in found.shown]) == (3, ["a", "b", "c"])
    for one, apex, flow in zip(found.shown, (120, 80, 120), ((255, 0, 0), (255, 128, 128), (255, 0, 0)), strict=True):
        assert one.annotated == "Happiness · AU 12"
        onset, middle, motion = map(colours, one.pictures)
        np.testing.assert_allclose(onset, 40, atol=1)
        np.testing.assert_allclose(middle, apex, atol=1)
        np.testing.assert_allclose(motion, flow, atol=3)
    assert [k.caption for k in found.keys] == ["flow.tvl1: full colour is 2 px and more"]
    assert found.faces == ["demo"]


def test_the_surest_come_first_and_no_more_than_asked(made):
    assert len(mistakes(made[1], made[0], True, 1).shown) == 1
    assert mistakes(made[1], None, True, 24).shown == []
    assert mistakes(made[1], None, True, 24).total == 3


def test_without_faces_only_motion_is_shown(made):
    found = mistakes(made[1], made[0], False, 24)
    assert [[p.caption for p in m.pictures] for m in found.shown] == [["flow at the apex (flow.tvl1)"]] * 3
    assert found.faces == []
    report = page.report([made[1].run], made[0], faces=False)
    assert "Made without faces" in page.html(report)
    assert "licensed database (demo)" in page.html(page.report([made[1].run], made[0]))


def test_lineage_is_the_stores(made):
    table = page.report([made[1].run], made[0]).runs[0].origin[-1]
    assert [[c.text for c in row.cells] for row in table.rows] == [
        ["the release's frames", "", "", ""],
        ["flow", "1", "mode <exact>", ""],
    ]
    assert "mode &lt;exact&gt;" in page.html(page.report([made[1].run], made[0]))
    alone = page.report([made[1].run], None, "No store at x.").runs[0].origin[-1]
    assert alone.rows == []
    assert "key 9999" in alone.note


def test_a_feature_of_another_key_is_not_taken_for_the_one_that_was_read(made, tmp_path):
    """Folders bear the first digits of a key only."""
    shutil.copytree(made[1].run.path, tmp_path / "run")
    path = tmp_path / "run" / "features.json"
    content = path.read_text()
    key = made[1].features.read["demo"].features["flow.tvl1"].key
    path.unlink()
    path.write_text(content.replace(key, key[:-1] + "0"))
    assert page.report([runs.read(tmp_path / "run")], made[0]).runs[0].origin[-1].rows == []


def test_features_that_are_gone_are_said_to_be(made, tmp_path):
    other = known_store.write(tmp_path / "s", {"z": {}})
    found = mistakes(made[1], other, True, 24)
    assert {m.absent for m in found.shown} == {"the store has no pictures of this snapshot"}
    assert page.report([made[1].run], other).runs[0].origin[-1].rows == []


def test_pooled_databases_are_counted_and_shown_each_from_its_own(tmp_path):
    read = {}
    for name in ("one", "two"):
        opened = known_store.write(tmp_path / "s", {"a": {"apex": 12 if name == "one" else 16}}, dataset=name)
        feature = opened.feature(f"{name}/flow.tvl1")
        about = {"path": feature.path, "key": feature.key}
        read[name] = {"snapshot": feature.path.split("/")[0], "features": {"flow.tvl1": about}}
    who = {"one/a": "one/s", "two/a": "two/s"}
    write_run(tmp_path / "run", [dict.fromkeys(who, 1)], true=dict.fromkeys(who, 0), subjects=who, read=read,
              config={"datasets": ["one", "two"], "protocol": "cde"})  # fmt: skip
    report = page.report([runs.read(tmp_path / "run")], opened)
    shown = report.runs[0].mistakes.shown
    for one, apex, flow in zip(shown, (80, 160), ((255, 128, 128), (0, 255, 255)), strict=True):
        np.testing.assert_allclose(colours(one.pictures[1]), apex, atol=1)
        np.testing.assert_allclose(colours(one.pictures[2]), flow, atol=3)
    classes = next(t for t in report.runs[0].about if t.name == "classes")
    assert classes.head[3:] == ["one samples", "one subjects", "two samples", "two subjects"]
    assert [c.value for c in classes.rows[0].cells[1:]] == [2, 2, 1, 1, 1, 1]
    assert [row.cells[0].text for row in report.runs[0].results[0].rows[1:3]] == ["of these, one", "of these, two"]
    assert report.faces == ["one", "two"]


def test_a_sample_that_is_not_there_has_its_reason(made, tmp_path):
    failed = known_store.write(tmp_path / "s", SAMPLES, failed=("b",))
    found = mistakes(made[1], failed, True, 24)
    assert [bool(m.pictures) for m in found.shown] == [True, False, True]
    assert "align: no face" in found.shown[1].absent
