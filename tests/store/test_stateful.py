"""The store against a dictionary: whatever is done to it, in whatever order."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mepipe import store as stores
from mepipe.errors import MepipeError
from mepipe.store import housekeeping, layout, packing
from mepipe.store.feature import Feature
from mepipe.store.ledger import Record
from mepipe.store.verify import verify
from tests.store.test_store import ROWS, spec, values

SAMPLES = st.sampled_from("abc")
NUMBERS = st.integers(0, 2)  # of snapshots
OLD = 30 * 86400
LENGTHS = [40, 3, 16]


class StoreMachine(RuleBasedStateMachine):
    """The model: of each feature {sample: array, or the reason that it has none, or None where it is damaged}."""

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="mepipe-test-")) / "s.zarr"
        self.store = stores.create(self.root)
        self.model: dict[str, dict[str, np.ndarray | str | None]] = {}
        self.current = ""
        self.kept: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root.parent)

    def feature(self, number: int) -> Feature:
        name = layout.create_snapshot(self.store.place, "demo", [{**row, "apex": number} for row in ROWS])
        layout.create_feature(self.store.place, name, ["a", "b", "c"], spec(LENGTHS))
        feature = Feature(self.store.place, f"{name}/flow-0123abcd")
        self.model.setdefault(feature.path, {})
        return feature

    def record(self, feature: Feature, sample: str, **about: object) -> None:
        before = feature.records.get(sample)
        turn = before.turn + 1 if before else 1
        feature.ledger.append([Record(sample=sample, fingerprint="f", turn=turn, **about)])  # type: ignore[arg-type]

    @rule(number=NUMBERS, samples=st.lists(SAMPLES, min_size=1), seed=st.integers(0, 3))
    def extract(self, number: int, samples: list[str], seed: int) -> None:
        feature = self.feature(number)
        for sample in samples:
            array = values(LENGTHS["abc".index(sample)], seed)
            if feature.packed:
                try:
                    feature.write(sample, array)
                except MepipeError:
                    continue
                raise AssertionError("a packed feature was written")
            self.record(feature, sample, state="done", digest=feature.write(sample, array))
            self.model[feature.path][sample] = array
            feature = Feature(self.store.place, feature.path)
        self.store.set_ref("demo", "features", feature.path.split("/")[0], {"flow": "flow-0123abcd"})
        self.current = feature.path

    @rule(number=NUMBERS, sample=SAMPLES)
    def fail(self, number: int, sample: str) -> None:
        feature = self.feature(number)
        self.record(feature, sample, state="failed", reason="dark, too")
        self.model[feature.path][sample] = "dark, too"

    @rule(number=NUMBERS, sample=SAMPLES, keep=st.floats(0, 0.99))
    def damage(self, number: int, sample: str, keep: float) -> None:
        feature = self.feature(number)
        if feature.packed or not isinstance(self.model[feature.path].get(sample), np.ndarray):
            return
        path = self.root / feature.chunks("abc".index(sample))[-1]
        content = path.read_bytes()
        path.unlink()  # a new file: others may have this one too, by another name
        path.write_bytes(content[: int(keep * len(content))])
        assert list(verify(Feature(self.store.place, feature.path))) == [sample]
        self.model[feature.path][sample] = None

    @rule(number=NUMBERS, other=NUMBERS)
    def adopt(self, number: int, other: int) -> None:
        target, source = self.feature(number), self.feature(other)
        if target.packed or number == other:
            return
        for sample in source.done:
            if target.states.of(sample) is None:
                target.adopt(source, sample)
                target.ledger.append([replace(source.records[sample], turn=1)])
                self.model[target.path][sample] = self.model[source.path][sample]

    @rule(number=NUMBERS)
    def compact(self, number: int) -> None:
        feature = self.feature(number)
        if feature.packed:
            packing.unpack(feature)
        elif feature.missing:
            try:
                packing.pack(feature)
            except MepipeError:
                return
            raise AssertionError("an unfinished feature was packed")
        else:
            packing.pack(feature, shard=4000 * (number + 1))

    @rule(number=NUMBERS)
    def merge(self, number: int) -> None:
        feature = self.feature(number)
        for _ in range(33):
            feature.ledger.append(list(feature.records.values())[:1])
        feature.ledger.merge()

    @rule(number=NUMBERS, remove=st.booleans())
    def keep(self, number: int, remove: bool) -> None:
        path = self.feature(number).path
        if remove != (path in self.kept):
            return
        housekeeping.keep(self.store, path, remove=remove)
        self.kept ^= {path}

    @precondition(lambda self: self.current)
    @rule(aged=st.booleans(), dry=st.booleans())
    def gc(self, aged: bool, dry: bool) -> None:
        if aged:
            for path in self.root.rglob("*"):
                os.utime(path, (path.stat().st_mtime - OLD,) * 2)
        found = {one.path for one in housekeeping.gc(self.store, remove=not dry).doomed if one.kind == "feature"}
        left = self.kept | {self.current}
        if aged:
            assert found == self.model.keys() - left
        assert not found & left
        if not dry:
            self.model = {path: content for path, content in self.model.items() if path not in found}

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert {f.path for f in self.store.all()} == self.model.keys()
        for path, known in self.model.items():
            feature = Feature(self.store.place, path)
            assert feature.done == [s for s in "abc" if isinstance(known.get(s), np.ndarray)]
            assert feature.missing == [s for s in "abc" if known.get(s) is None]
            assert feature.failed == {s: v for s, v in known.items() if isinstance(v, str)}
            for sample in feature.done:
                np.testing.assert_array_equal(feature[sample], known[sample])
            assert {s: r.state for s, r in feature.records.items()} == {s: feature.states.of(s) for s in known}
        if self.current:
            assert self.store.feature("demo/flow").path == self.current


StoreMachine.TestCase.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStore = StoreMachine.TestCase
