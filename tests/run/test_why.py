from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mepipe import store as stores
from mepipe.datasets.manifest import Sample, dump, read
from mepipe.run.why import reasons
from mepipe.store.verify import verify
from tests.run import stages_for_tests as cheap


def test_each_reason_to_compute_is_told(tmp_path: Path) -> None:
    release, manifest, store = tmp_path / "release", tmp_path / "tiny.csv", tmp_path / "s"
    samples = []
    for name in "abcde":
        (release / name).mkdir(parents=True)
        for n in range(8):
            cv2.imwrite(str(release / name / f"{n}.png"), np.full((20, 20), 60 + 9 * n + ord(name) % 7, np.uint8))
        samples.append(Sample(id=name, subject="x", clip=name, onset=0, apex=3, offset=7, fps=200))
    manifest.write_text(dump(samples[:4]))

    def why(**overrides: dict) -> dict[str, dict[str, str]]:
        return reasons(cheap.make_plan(store, release, manifest, **overrides))

    assert why()["a"] == {"cut": "not computed yet", "mean": "not computed yet"}
    cheap.extract(store, release, manifest, workers=1)
    assert why() == {}

    feature = stores.open(store).feature("tiny/cut")
    (store / feature.chunks(1)[0]).unlink()
    verify(feature)
    assert why()["b"]["cut"].startswith("damaged: ")

    cv2.imwrite(str(release / "c" / "2.png"), np.zeros((20, 20), np.uint8))
    changed = [s.model_copy(update={"onset": 1}) if s.id == "d" else s for s in read(manifest)]
    changed[0] = changed[0].model_copy(update={"apex": 5, "emotion": "joy"})
    manifest.write_text(dump([*changed, samples[4]]))
    told = why()
    assert told["a"] == {"mean": "apex changed 3 -> 5"}
    assert told["c"] == {"cut": "frames changed", "mean": "frames changed"}
    assert told["d"]["cut"] == "onset changed 0 -> 1; frames changed"
    assert told["e"]["mean"] == "new sample"
    assert why(mean={"scale": 2.0})["e"] == {"cut": "new sample", "mean": "mean-for-tests.scale 1.0 -> 2.0"}
