"""The demo: is its ground truth the truth, is it a SAMM release, and is it the same every time."""

import hashlib
import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import map_coordinates

from mepipe.datasets import adapters, demo
from mepipe.datasets.clips import open_clip
from mepipe.datasets.demo import motion, plan, portraits, render, samm_layout, truth
from mepipe.datasets.demo.portraits import Person
from mepipe.datasets.demo.writer import LAYOUTS, layout_module
from mepipe.errors import MepipeError, UsageError

# Without grain this portrait, enlarged 2.7 times, has no detail that any cubic interpolation would lose.
SMOOTH = Person("astronaut", grain=0)
# What rounding two pictures to whole grey levels leaves is sqrt(2/12) = .41; interpolating averages some of it away.
ROUNDING = 0.42
STILL = render.ClipSpec(SMOOTH, aus="6+12", peak=2.0, frames=7, apex=3, head_motion=0, drift=0, noise=0, seed=(5,))
CDE3 = {"Happiness": "positive", "Surprise": "surprise", "Other": "dropped"}


def undone(frame, flow):
    """`frame` sampled where `flow` says that the onset's pixels went: by scipy, not by the demo's own spline."""
    grid = np.mgrid[: frame.shape[0], : frame.shape[1]] + flow[::-1].astype(float)
    return map_coordinates(frame.astype(float), grid, order=3, mode="mirror")


def rms(difference):
    return float(np.sqrt(np.mean(np.square(difference))))


def digests(root: Path) -> dict[str, str]:
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A demo of two subjects with one clip each, and an Other for the second: 3 clips."""
    root = tmp_path_factory.mktemp("demo") / "out"
    return demo.write(root, subjects=2, clips=1)


class TestTruth:
    @pytest.mark.parametrize("aus", ["6+12", "1+2", "R14"])
    def test_warping_a_frame_back_by_the_truth_gives_the_onset_frame(self, aus):
        frames, known = render.clip(replace(STILL, aus=aus))
        for index in (1, 3, 5):  # on the way up, at the apex, on the way down
            flow = known.displacement(index)
            moving = np.hypot(*flow) > 0.1
            left = rms((undone(frames[index], flow) - frames[0])[moving])
            assert left < ROUNDING
            for wrong in (0.95, 1.05):
                assert left < rms((undone(frames[index], wrong * flow) - frames[0])[moving])

    def test_nothing_moves_where_the_truth_says_so(self):
        frames, known = render.clip(STILL)
        still = np.hypot(*known.peak) == 0
        assert still.mean() > 0.5
        assert (frames[3][still] == frames[0][still]).all()

    def test_total_motion_is_the_units_then_the_head(self):
        frames, known = render.clip(replace(STILL, head_motion=2.0))
        inside = np.s_[20:-20, 20:-20]  # points that stay in the picture
        for index in (3, 6):
            assert rms((undone(frames[index], known.total(index)) - frames[0])[inside]) < ROUNDING
            assert rms((undone(frames[index], known.displacement(index)) - frames[0])[inside]) > 2

        x = np.array([400.0, 100.0])
        d = known.peak[:, 100, 400] * known.course[3]
        expected = known.rigid(3) @ [*(x + d), 1] - x
        np.testing.assert_allclose(known.total(3)[:, 100, 400], expected, atol=1e-4)

    def test_the_head_starts_where_it_is_and_moves_as_much_as_asked(self):
        known = render.truth_of(replace(STILL, frames=60, apex=20, head_motion=1.0))
        np.testing.assert_array_equal(known.rigid(0), [[1, 0, 0], [0, 1, 0]])
        np.testing.assert_allclose(known.shift.std(axis=0) / known.scale, 0.9)
        np.testing.assert_allclose(np.rad2deg(known.angle.std()), 0.4)

    def test_the_largest_displacement_is_the_peak_at_crop_scale(self):
        known = render.truth_of(STILL)
        assert np.hypot(*known.peak).max() / known.scale == pytest.approx(2.0, rel=1e-5)

    @pytest.mark.parametrize("mirror", [False, True])
    def test_left_is_the_persons_left(self, mirror):
        person = Person("astronaut", mirror=mirror)
        known = render.truth_of(replace(STILL, person=person, aus="L14"))
        middle = portraits.face(person).landmarks["upper_lip"][0, 0]
        _, columns = np.nonzero(np.hypot(*known.peak))
        assert columns.min() > middle  # whoever looks at the camera has the left side at the right of the picture

    def test_switching_one_effect_off_leaves_the_others(self):
        full = render.truth_of(replace(STILL, head_motion=1.0, drift=0.02, noise=1.0))
        quiet = render.truth_of(replace(STILL, head_motion=1.0))
        np.testing.assert_array_equal(full.shift, quiet.shift)
        assert np.abs(full.gain - 1).max() == pytest.approx(0.02)
        assert full.gain[0] == 1
        assert (quiet.gain == 1).all()

    def test_sensor_noise_has_the_stated_variance(self):
        spec = replace(STILL, person=Person("hopper"), frames=2, apex=1)
        clean, _ = render.clip(spec)
        noisy, known = render.clip(replace(spec, noise=1.0))
        for level in (60, 120, 180):
            near = np.abs(clean[0].astype(int) - level) <= 2
            variance = np.var((noisy[0].astype(float) - clean[0])[near])
            # Rounding adds 2/12 (of the clean and of the noisy frame); 3000 pixels or more give it within 2.6 % rms.
            assert near.sum() > 3000
            assert variance == pytest.approx(known.noise[0] + known.noise[1] * level + 1 / 6, rel=0.1)

    def test_saved_and_loaded_it_is_the_same(self, tmp_path):
        known = render.truth_of(replace(STILL, head_motion=1.0, first=5562))
        truth.save(tmp_path / "a.npz", known)
        again = truth.load(tmp_path / "a.npz")
        for index in (0, 3, 6):
            np.testing.assert_array_equal(again.total(index), known.total(index))
        assert list(again.numbers) == list(range(5562, 5569))
        assert (again.apex, again.aus, again.scale) == (known.apex, known.aus, known.scale)

    def test_what_is_not_a_truth_is_refused_by_name(self, tmp_path):
        (tmp_path / "b.npz").write_bytes(b"PK nonsense")
        with pytest.raises(MepipeError, match=r"b\.npz: not a demo's ground truth"):
            truth.load(tmp_path / "b.npz")
        with pytest.raises(MepipeError, match="No ground truth at"):
            truth.load(tmp_path / "c.npz")


class TestMotion:
    @given(
        frames=st.integers(2, 120),
        data=st.data(),
        residual=st.floats(0, 1),
        rise=st.floats(0.5, 2),
        fall=st.floats(0.5, 2),
    )
    def test_the_time_course_goes_up_to_one_and_down_to_the_residual(self, frames, data, residual, rise, fall):
        apex = data.draw(st.integers(1, frames - 1))
        course = motion.time_course(frames, apex, residual, rise, fall)
        assert len(course) == frames
        assert course[0] == 0
        assert course[apex] == 1
        assert course.min() >= 0
        assert course.max() <= 1
        assert (np.diff(course[: apex + 1]) >= 0).all()
        assert (np.diff(course[apex:]) <= 0).all()
        assert apex == frames - 1 or course[-1] == pytest.approx(residual, abs=1e-12)

    def test_an_impossible_time_course_is_refused(self):
        with pytest.raises(UsageError, match="apex 9"):
            motion.time_course(9, 9)

    def test_an_unknown_unit_is_named(self):
        with pytest.raises(UsageError, match="'99' of '1\\+99'"):
            render.truth_of(replace(STILL, aus="1+99"))

    def test_a_peak_that_would_fold_the_skin_is_refused(self):
        with pytest.raises(UsageError, match="would fold"):
            render.clip(replace(STILL, aus="7", peak=30.0))


class TestPortraits:
    def test_another_packaged_picture_is_refused(self, monkeypatch):
        other = replace(portraits.PORTRAITS["hopper"], sha256="0" * 64)
        monkeypatch.setitem(portraits.PORTRAITS, "hopper", other)
        with pytest.raises(MepipeError, match=r"grace_hopper\.jpg: not the portrait whose face was measured"):
            portraits.load("hopper")

    def test_people_differ_and_fit_the_frame(self):
        pictures = []
        for index in range(4):
            face = portraits.face(portraits.someone(index, seed=0))
            points = np.concatenate(list(face.landmarks.values()))
            assert (points > 20).all()
            assert (points < np.array(portraits.FRAME[::-1]) - 20).all()
            assert 225 < face.width < 265
            assert face.landmarks["mouth_corner"][0, 0] < face.landmarks["mouth_corner"][1, 0]
            pictures.append(face.picture)
        assert min(rms(a - b) for k, a in enumerate(pictures) for b in pictures[:k]) > 10


class TestPlan:
    def test_every_subject_has_the_three_classes_in_equal_parts(self):
        for index in range(8):
            emotions = Counter(e.emotion for e in plan._of_subject(index, 6, seed=3))
            classes = Counter()
            for emotion, count in emotions.items():
                classes[CDE3.get(emotion, "negative")] += count
            assert {k: classes[k] for k in ("positive", "surprise", "negative")} == {
                "positive": 2,
                "surprise": 2,
                "negative": 2,
            }
            assert classes["dropped"] == (index % 4 == 1)

    def test_a_subject_does_not_depend_on_the_others(self):
        few, many = plan.entries(2, 6, seed=0), plan.entries(5, 6, seed=0)
        assert many[: len(few)] == few
        assert plan.entries(2, 6, seed=1) != few

    def test_an_expression_lasts_as_long_at_any_frame_rate(self):
        usual, others = plan.entries(6, 3, seed=0), plan.entries(6, 3, seed=0, fps=(200.0, 500.0, 30.0))
        for a, b in zip(usual, others, strict=True):
            assert b.fps == (200.0, 500.0, 30.0)[sorted({e.subject for e in usual}).index(a.subject) % 3]
            assert b.spec.frames == 5 or abs(b.spec.frames - a.spec.frames * b.fps / 200) <= 0.5
            assert 0 < b.spec.apex < b.spec.frames - 1
            assert (b.name, b.emotion, b.aus, b.spec.peak) == (a.name, a.emotion, a.aus, a.spec.peak)

    def test_it_has_the_quirks_of_the_real_sheet(self):
        entries = plan.entries(29, 6, seed=0)
        assert {type(e.aus) for e in entries} == {int, str}
        assert any(isinstance(e.aus, str) and e.aus.startswith(("L", "R")) for e in entries)
        assert {e.digits for e in entries} == {4, 5}
        assert any(e.number > 9 for e in entries)
        widths = {}
        for e in entries:
            assert widths.setdefault((e.subject, e.inducement), e.digits) == e.digits
            assert 30 <= e.spec.frames <= 101
        assert len({e.name for e in entries}) == len(entries)
        assert {e.subject for e in entries} >= {"006", "028", "037"}
        assert not {e.subject for e in entries} & {"008", "027", "029"}


class TestRelease:
    def test_frames_lie_and_are_named_as_in_samm(self, small):
        assert (small.subjects, small.clips, small.written) == (2, 3, True)
        frames = 0
        for entry in plan.entries(2, 1, seed=0):
            names = sorted(p.name for p in (small.root / samm_layout.clip_folder(entry)).iterdir())
            numbers = range(entry.onset, entry.offset + 1)
            assert names == [f"{entry.subject}_{n:0{entry.digits}d}.jpg" for n in numbers]
            frames += len(names)
        assert frames == small.frames

    def test_pictures_are_gray_and_hold_what_was_rendered(self, small):
        entry = plan.entries(2, 1, seed=0)[0]
        frames, known = render.clip(entry.spec)
        paths = sorted((small.root / samm_layout.clip_folder(entry)).iterdir())
        for index in (0, entry.spec.apex):
            with Image.open(paths[index]) as picture:
                assert picture.mode == "L"
                assert rms(np.asarray(picture).astype(float) - frames[index]) < 2  # JPEG at quality 95
        stored = truth.load(small.root / "truth" / f"{entry.name}.npz")
        np.testing.assert_array_equal(stored.total(5), known.total(5))

    def test_the_workbook_is_laid_out_as_samms(self, small):
        entries = plan.entries(2, 1, seed=0)
        sheet = openpyxl.load_workbook(small.root / samm_layout.SHEET)["MICRO_ONLY"]
        rows = list(sheet.iter_rows(values_only=True))
        assert [r[0] for r in rows].index("Subject") == 13
        assert rows[13] == samm_layout.COLUMNS
        assert len(rows) == 14 + len(entries)
        assert rows[14][:6] == ("006", entries[0].name, entries[0].inducement, entries[0].onset, *rows[14][4:6])
        assert rows[14][6] == "=SUM(F15-D15)+1"
        assert {r[7] for r in rows[14:]} == {"Micro - 1/2"}

        cached = openpyxl.load_workbook(small.root / samm_layout.SHEET, data_only=True)["MICRO_ONLY"]
        for row in cached.iter_rows(min_row=15, values_only=True):
            assert row[6] == row[5] - row[3] + 1

    def test_the_workbook_holds_no_time_of_day(self, small):
        with zipfile.ZipFile(small.root / samm_layout.SHEET) as book:
            assert {info.date_time[0] for info in book.infolist()} == {1980}
            assert b"1980-01-01" in book.read("docProps/core.xml")
            assert b">20" not in book.read("docProps/core.xml")

    def test_made_again_by_two_workers_it_is_the_same_to_the_byte(self, small, tmp_path):
        done = []
        again = demo.write(tmp_path / "a", subjects=2, clips=1, workers=2, progress=lambda *count: done.append(count))
        assert done == [(1, 3), (2, 3), (3, 3)]
        assert again == replace(small, root=tmp_path / "a")
        mine, first = digests(tmp_path / "a"), digests(small.root)
        assert len(first) == small.frames + small.clips + 2  # and the workbook and the record
        assert mine == first

    def test_writing_it_again_does_nothing(self, small):
        before = {p: p.stat().st_mtime_ns for p in small.root.rglob("*")}
        again = demo.write(small.root, subjects=2, clips=1)
        assert again == replace(small, written=False)
        assert {p: p.stat().st_mtime_ns for p in small.root.rglob("*")} == before

    def test_another_demo_is_not_overwritten(self, small):
        with pytest.raises(MepipeError, match="another demo: seed 0, not 1"):
            demo.write(small.root, subjects=2, clips=1, seed=1)

    def test_a_folder_with_other_things_is_refused(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("x")
        with pytest.raises(MepipeError, match="is not empty and holds no demo"):
            demo.write(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_demo_with_frames_missing_is_not_called_complete(self, tmp_path):
        record = {"format": 1, "layout": "samm", "subjects": 1, "clips": 1, "seed": 0}
        (tmp_path / "demo.json").write_text(json.dumps({**record, "total_clips": 1, "total_frames": 40}))
        with pytest.raises(MepipeError, match="0 frames, 0 truth files; 40 and 1 expected"):
            demo.write(tmp_path, subjects=1, clips=1)

    def test_an_interrupted_demo_leaves_nothing(self, tmp_path):
        def stop(done, of):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            demo.write(tmp_path / "out", subjects=1, clips=1, progress=stop)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [({"layout": "sam"}, "Did you mean 'samm'"), ({"subjects": 0}, "subjects = 0"), ({"seed": -1}, "seed = -1")],
    )
    def test_a_wrong_request_is_refused(self, tmp_path, wrong, message):
        with pytest.raises(UsageError, match=message):
            demo.write(tmp_path / "out", **wrong)

    def test_with_faults_it_lists_them_and_is_another_demo(self, tmp_path):
        made = demo.write(tmp_path / "out", "dfme", subjects=1, clips=1, faults=True)
        record = json.loads((tmp_path / "out/demo.json").read_text())
        assert {fault["severity"] for fault in record["faults"]} == {"error", "warning", "note"}
        assert demo.write(tmp_path / "out", "dfme", subjects=1, clips=1, faults=True) == replace(made, written=False)
        with pytest.raises(MepipeError, match="another demo: with faults"):
            demo.write(tmp_path / "out", "dfme", subjects=1, clips=1)
        with pytest.raises(UsageError, match=r"subjects = 21: choose subjects within 1\.\.20"):
            demo.write(tmp_path / "many", "dfme", subjects=21, clips=1, faults=True)


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_decoded_by_its_manifest_a_clip_is_what_was_rendered(self, layout, tmp_path):
        demo.write(tmp_path / "out", layout, subjects=1, clips=1)
        found = adapters.load("demo").read(tmp_path / "out")
        assert [str(f) for f in found.findings] == []
        (sample,) = found.samples
        module = layout_module(layout)
        (entry,) = module.adapt(plan.entries(1, 1, 0, module.FPS))
        frames, known = render.clip(entry.spec)
        decoded = list(open_clip(tmp_path / "out" / sample.clip, sample.onset, sample.offset))
        assert [number for number, _ in decoded] == list(known.numbers)
        for (_, picture), frame in zip(decoded, frames, strict=True):
            assert rms(picture.astype(float) - frame[:, :, None]) < 2  # JPEG at quality 95; the others are exact
        stored = truth.load(tmp_path / "out/truth" / f"{sample.id}.npz")
        np.testing.assert_array_equal(stored.total(2), known.total(2))
