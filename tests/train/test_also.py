"""What a network says beside its logits: kept with its fold, scored by a scheme of its own, shown."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from mepipe.cli import cli  # noqa: E402
from mepipe.models.declare import Also  # noqa: E402
from mepipe.models.learner import Learner  # noqa: E402
from mepipe.train import also, folds  # noqa: E402
from mepipe.train.selection import Selection  # noqa: E402

EMOTIONS = Also("cde-3", ("negative", "positive", "surprise"), "emotions")


class Table:
    def __init__(self, emotions):
        self.table = pd.DataFrame({"emotion": list(emotions.values())}, index=list(emotions))


def selection(emotions, datasets=("demo",), features=None):
    features = features or {"tokens": Table(emotions)}
    keys = list(emotions)
    subjects = {key: key[:-1] for key in keys}
    return Selection(
        datasets, "micro-au", ("AU4",), features, dict.fromkeys(keys, (1,)), subjects, {}, {}, {}, {}, {}, {}
    )


def record(ids, scores):
    return {"test": ids, "also": {"emotions": scores}}


def test_scores_by_hand():
    """Four samples with a class: three right. The fifth has none in the scheme, the sixth one that it does not know."""
    chosen = selection(
        {"a1": "Anger", "a2": "Happiness", "b1": "Surprise", "b2": "Disgust", "b3": "Other", "b4": "Boredom"}
    )
    records = [
        record(["a1", "a2"], [[0.3, 0.1, None], [0.2, 0.1, 0.0]]),  # a2: negative, wrongly
        record(["b1", "b2", "b3", "b4"], [[None, -0.5, -0.4], [1, 0, 0], [0, 1, 0], [0, 1, 0]]),
    ]
    found = also.scored(records, {"emotions": EMOTIONS}, chosen)["emotions"]
    assert (found["what"], found["scheme"], found["samples"]) == ("emotions", "cde-3", 4)
    assert found["ACC"] == 0.75
    assert found["confusion"] == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert found["UF1"] == pytest.approx((2 * 2 / (2 * 2 + 1) + 0 + 1) / 3)
    assert found["UAR"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["intervals"].keys() == {"ACC", "UF1", "UAR"}


def test_pooled_datasets_have_each_its_own_table():
    pooled = SimpleNamespace(features={"samm": Table({"x1": "Anger"}), "casme2": Table({"x1": "Surprise"})})
    chosen = selection({"samm/x1": "", "casme2/x1": ""}, ("samm", "casme2"), {"tokens": pooled})
    assert also.labels(chosen, EMOTIONS) == {"samm/x1": 0, "casme2/x1": 2}


def test_who_says_nothing_leaves_no_trace_and_no_infinity_comes_into_json():
    class Silent(Learner):
        pass

    class Speaking(Learner):
        def also(self, *inputs):
            return {"emotions": torch.tensor([1.0, -torch.inf]) * inputs[0]}

    samples = folds.Samples(("a", "b", "c"), torch.zeros(3, dtype=torch.int64), (torch.tensor([[1.0], [2.0], [4.0]]),))
    how = folds.How(folds.Schedule(1, 2, 1.0), 0, torch.device("cpu"))
    rows = torch.tensor([2, 0, 1])
    assert also.said(Silent(), samples, rows, how) == {}
    assert also.said(Speaking(), samples, rows, how) == {"also": {"emotions": [[4.0, None], [1.0, None], [2.0, None]]}}
    assert also.scored([{"test": ["a"]}], {"emotions": EMOTIONS}, selection({"a": "Anger"})) == {}


AUS = {"Anger": "4", "Happiness": "12", "Surprise": "2"}


def write_store(root):
    """Tokens and landmarks of nine samples of three subjects; tokens of a face's top or bottom say which unit moves."""
    from mepipe import store
    from mepipe.datasets.manifest import Sample
    from mepipe.store import layout
    from mepipe.store.ledger import Record

    rng = np.random.default_rng(0)
    ids = [f"s{s}_{c}" for s in range(3) for c in range(3)]
    emotions = [list(AUS)[n % 3] for n in range(9)]
    rows = [
        Sample(id=i, subject=i[:2], clip=i, onset=0, apex=8, offset=15, fps=200, emotion=e, aus=AUS[e]).model_dump()
        | {"frames": f"frames of {i}"}
        for i, e in zip(ids, emotions, strict=True)
    ]
    values = {
        "flow.tokens": rng.standard_normal((9, 17, 64)).astype(np.float16),
        "landmarks": rng.uniform(20, 200, (9, 478, 2)).astype(np.float32),
    }
    opened = store.create(root)
    snapshot, nodes = layout.create_snapshot(opened.place, "demo", rows), {}
    for node, dims in (("flow.tokens", ("token", "channel")), ("landmarks", ("point", "channel"))):
        nodes[node] = f"{node}-{'0' * 8}"
        array = values[node]
        about = {"key": "0" * 64, "units": "1"}
        spec = layout.FeatureSpec(nodes[node], dims, array.shape[1:], str(array.dtype), (), None, False, about)
        layout.create_feature(opened.place, snapshot, ids, spec)
        feature = opened._at(snapshot, nodes[node])
        feature.ledger.append(
            [Record(i, "done", "f", digest=feature.write(i, one)) for i, one in zip(ids, array, strict=True)]
        )
    opened.set_ref("demo", "micro-au-clip-tiny", snapshot, nodes)
    return dict(zip(ids, emotions, strict=True))


def test_a_run_of_micro_au_clip_tells_emotions_too(tmp_path):
    emotions = write_store(tmp_path / "store")
    run = tmp_path / "run"
    asked = ["train", "micro-au-clip", "--dataset", "demo", "--config", "tiny", "--weights", "random", "--epochs", "1"]
    where = ["--store", str(tmp_path / "store"), "--run", str(run), "--device", "cpu", "--jobs", "1"]
    result = CliRunner().invoke(cli, [*asked, *where], catch_exceptions=False)
    assert result.exit_code == 0
    told = {}
    for path in (run / "folds").glob("*.json"):
        one = json.loads(path.read_text())
        told |= dict(zip(one["test"], one["also"]["emotions"], strict=True))
    of = {"Anger": 0, "Happiness": 1, "Surprise": 2}
    right = np.mean([int(np.argmax(told[sample])) == of[emotion] for sample, emotion in emotions.items()])
    found = json.loads((run / "metrics.json").read_text())["also"]["emotions"]
    assert found["ACC"] == pytest.approx(right)
    assert found["samples"] == 9
    line = f"emotions, recognised without labels of them (eq. 13) (9 samples, cde-3): UF1 {found['UF1']:.3f}"
    assert line in result.stdout
    shown = CliRunner().invoke(cli, ["runs", "show", str(run)], catch_exceptions=False).stdout
    assert f"(eq. 13) (cde-3): UF1 {found['UF1']:.3f}" in shown
    with (run / "predictions.csv").open(encoding="utf-8") as file:
        assert list(next(csv.reader(file)))[-4:] == ["p_AU2", "p_AU4", "p_AU7", "p_AU12"]
