"""The page itself, parsed: numbers, escapes, nothing to load; runs with classes, with action units, unfinished ones."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("torch")

from mepipe.errors import MepipeError
from mepipe.report import gather, page
from mepipe.train import runs
from tests.report.made import CLASSES, write_run

WHO = {f"s{n}_{k}": f"s{n}" for n in range(4) for k in range(3)}
TRUE = {sample: int(sample[-1]) for sample in WHO}
NASTY = '<b>&"$x$'


class Tables(HTMLParser):
    """{name of table: [[text of each cell]]}, the values of its numbers, and every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.values, self.tags, self.text = {}, {}, [], ""
        self.feed(text)
        self.close()
        self.tables = {name: [[c.strip() for c in row] for row in rows] for name, rows in self.tables.items()}

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "table":
            self.name = found["data-name"]
            self.tables.setdefault(self.name, [])
            self.values.setdefault(self.name, [])
        elif tag == "tr":
            self.tables[self.name].append([])
            self.values[self.name].append([])
        elif tag in ("td", "th"):
            self.tables[self.name][-1].append("")
        elif tag == "data":
            self.values[self.name][-1].append(float(found["value"]))
        elif "data-low" in found:
            self.values[self.name][-1].append((float(found["data-low"]), float(found["data-high"])))

    def handle_endtag(self, tag):
        if tag == "table":
            self.name = ""

    def handle_data(self, data):
        self.text += data
        if getattr(self, "name", "") and self.tables[self.name] and self.tables[self.name][-1]:
            self.tables[self.name][-1][-1] += data


def wrong(*samples):
    """Predictions that are right but for these, which are taken for the next class."""
    return {s: (label + (s in samples)) % 3 for s, label in TRUE.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "one", [wrong("s0_0"), wrong("s0_0", "s1_2", "s1_1")], true=TRUE, subjects=WHO, losses=True)
    write_run(
        root / "two", [wrong("s0_0")], true=TRUE, subjects=WHO, config={"seed": 1}, weights="tiny, random weights"
    )
    other = {s: who for s, who in WHO.items() if who != "s3"}
    write_run(root / "fewer", [dict.fromkeys(other, 0)], true={s: TRUE[s] for s in other}, subjects=other)
    shutil.copytree(root / "one", root / "stopped")
    (root / "stopped" / "metrics.json").unlink()
    (root / "stopped" / "folds" / "s3.json").unlink()
    return root


def made(folder, *names, **options):
    report = page.report([runs.read(folder / name) for name in names], None, "no store", **options)
    return report, Tables(page.html(report))


@pytest.fixture(scope="module")
def one(folder):
    return made(folder, "one")[1]


def test_the_numbers_are_those_of_the_metrics(folder, one):
    found = one
    metrics = json.loads((folder / "one" / "metrics.json").read_text())
    names = ("ACC", "F1", "UF1", "UAR")
    spans = {**metrics["intervals"], "F1": metrics["intervals"]["UF1"]}
    _, reported, oracle, *papers = found.values["scores"]
    assert reported == [x for n in names for x in (metrics[n], tuple(spans[n]))]
    assert oracle == [metrics["oracle"][n] for n in names]
    assert metrics["oracle"]["ACC"] > metrics["ACC"]
    assert papers
    for name, row, oracle_row in zip(CLASSES, found.values["confusion"][1:], found.values["confusion-oracle"][1:],
                                     strict=True):  # fmt: skip
        assert row == metrics["confusion"][CLASSES.index(name)]
        assert oracle_row == metrics["oracle"]["confusion"][CLASSES.index(name)]
    for row, name in zip(found.values["by-class"][1:], CLASSES, strict=True):
        one = metrics["per_class"][name]
        assert row == [one[n] for n in ("samples", "F1", "precision", "recall")] + [
            metrics["oracle"]["per_class"][name]["F1"]
        ]


def test_what_a_number_is_stands_beside_it(folder, one):
    found = one
    labels = [row[0] for row in found.tables["scores"][1:]]
    assert labels[0] == "last epoch, from scratch"
    assert labels[1] == "oracle (selected on test data), from scratch"
    assert all(label.startswith("paper, real ") for label in labels[2:])
    assert "of the real databases, with pretrained weights: no other data compare with them" in found.text
    assert [row[:1] for row in found.tables["confusion"][1:]] == [[name] for name in CLASSES]


def test_classes_and_subjects_are_counted(folder, one):
    found = one
    assert found.values["classes"][1:] == [[4, 4]] * 3 + [[12, 4]]
    assert found.tables["subjects"][1:] == [
        ["s0", "3", "2", "0.667", "negative → positive"],
        ["s1", "3", "1", "0.333", "positive → surprise, surprise → negative"],
        ["s2", "3", "3", "1.000", ""],
        ["s3", "3", "3", "1.000", ""],
    ]
    assert found.tables["left-out"][1] == ["no class: Other", "1", "left_1"]


def test_nothing_is_loaded_and_nothing_runs(folder):
    report, found = made(folder, "one", "stopped")
    assert not [tag for tag, _ in found.tags if tag in ("script", "link", "iframe", "object", "embed", "base", "form")]
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import", page.html(report))
    policy = next(a["content"] for t, a in found.tags if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_names_from_a_run_are_text(tmp_path):
    names = {NASTY: NASTY, "plain": "subject <i>"}
    config = {"parameters": {"prompt": "</style><script>alert(1)</script>"}, "datasets": [NASTY]}
    write_run(tmp_path / "r&<u>", [{NASTY: 1, "plain": 1}], true={NASTY: 0, "plain": 1}, subjects=names,
              classes=("a<s>", "b"), config=config, weights="<em>")  # fmt: skip
    report, found = made(tmp_path, "r&<u>")
    assert {tag for tag, _ in found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "section", "table",
        "caption", "thead", "tbody", "tr", "th", "td", "data", "span", "div", "figure", "img", "figcaption", "code",
    }  # fmt: skip
    assert "<script" not in page.html(report)
    assert found.tables["subjects"][1][0] == NASTY
    assert found.tables["by-class"][1][0] == "a<s>"
    assert "r&<u>" in found.text


def test_runs_are_compared_over_the_same_samples(folder):
    report, found = made(folder, "one", "two", "fewer", "stopped")
    rows = found.tables["comparison"]
    assert [row[0].split()[:2] for row in rows[1:5]] == [["1", "one"], ["2", "two"], ["3", "fewer"], ["4", "stopped"]]
    assert rows[4][1] == "not finished: 3 folds are done"
    assert rows[2][1] == "last epoch, tiny, random weights"
    one, two = (json.loads((folder / name / "metrics.json").read_text()) for name in ("one", "two"))
    first, second = found.values["paired"][1:]
    assert first[::2][:3] == pytest.approx([two[n] - one[n] for n in ("ACC", "UF1", "UAR")])
    assert first[-3:] == [2, 0, 0.5]  # two samples that `two` alone has right: a coin falls so twice of four times
    assert second == []
    assert found.tables["paired"][1][0] == "2 two last epoch, tiny, random weights"
    assert found.tables["paired"][2][0].startswith("3 fewer (other samples: 9 are in both)")
    assert ["seed", "0", "1", "0", "0"] in found.tables["asked-otherwise"]
    assert "Random weights" in found.text
    assert [p.account is None for p in report.runs] == [False, False, False, True]
    assert report.comparison.picture.source.startswith("data:image/svg+xml")


def test_an_unfinished_run_alone_is_refused(folder):
    with pytest.raises(
        MepipeError, match=r"stopped is not finished: 3 folds are done. Run its command again with --run"
    ):
        made(folder, "stopped")
    with pytest.raises(MepipeError, match="None of these 2 runs is finished"):
        made(folder, "stopped", "stopped")


def test_action_units(tmp_path):
    units = ("AU1", "AU4", "AU12")
    true = {s: (int(s[-1] == "0"), 1, int(s[-1] == "2")) for s in WHO}
    guess = {s: (label[0], int(s != "s0_1"), 0) for s, label in true.items()}
    config = {"model": "micro-au-clip", "scheme": "micro-au (demo)"}
    write_run(tmp_path / "au", [guess], true=true, subjects=WHO, classes=units, config=config)
    write_run(tmp_path / "all", [true], true=true, subjects=WHO, classes=units, config=config)
    _, found = made(tmp_path, "au", "all")
    metrics = json.loads((tmp_path / "au" / "metrics.json").read_text())
    assert [row[0] for row in found.tables["by-class"][1:4]] == list(units)
    for row, name in zip(found.values["by-class"][1:4], units, strict=True):
        one = metrics["per_class"][name]
        assert row == [one["samples"], one["F1"], one["ACC"], one["F1"]]
    assert found.values["by-class"][3][:2] == [4, 0.0]
    assert found.values["scores"][1][::2] == [metrics["ACC"], metrics["F1"]]
    assert "confusion" not in found.tables
    assert found.tables["subjects"][1] == ["s0", "3", "1", "0.333", "AU4 → none, AU4+AU12 → AU4"]
    difference = found.values["paired"][1]
    assert difference[0] == pytest.approx(1 - metrics["ACC"])
    assert difference[-3:] == [5, 0, 2 / 32]


def test_a_run_that_held_out_subjects_says_so_and_an_old_one_is_read(folder, tmp_path):
    shutil.copytree(folder / "two", tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    content = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**content, "reported": "epoch chosen by held-out training subjects"}))
    _, found = made(tmp_path, "run")
    assert found.tables["scores"][1][0] == "epoch chosen by held-out training subjects, tiny, random weights"
    path.write_text(json.dumps({n: value for n, value in content.items() if n not in ("reported", "intervals")}))
    _, found = made(tmp_path, "run")
    assert found.tables["scores"][1][0] == "last epoch, tiny, random weights"
    assert found.values["scores"][1] == [content[n] for n in ("ACC", "F1", "UF1", "UAR")]


def test_scores_that_are_not_of_the_predictions_are_refused(folder, tmp_path):
    shutil.copytree(folder / "one", tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    content = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**content, "ACC": 0.99}))
    with pytest.raises(MepipeError, match=r"metrics\.json is not of predictions\.csv"):
        gather.account(runs.read(tmp_path / "run"))
    path.write_text(json.dumps({**content, "oracle": 3}))
    with pytest.raises(MepipeError, match=r"metrics\.json: is not as mepipe train leaves it .oracle"):
        gather.account(runs.read(tmp_path / "run"))
    path.write_text(json.dumps(content))
    (tmp_path / "run" / "predictions.csv").unlink()
    with pytest.raises(MepipeError, match=r"predictions\.csv: cannot be read"):
        gather.account(runs.read(tmp_path / "run"))


def test_pictures_of_explain_stand_in_the_page_and_not_those_with_faces_where_none_are_wanted(folder, tmp_path):
    from matplotlib.image import imsave

    shutil.copytree(folder / "one", tmp_path / "run")
    explain = tmp_path / "run" / "explain"
    (explain / "attention").mkdir(parents=True)
    for name in ("tsne.png", "attention/s0_0.png"):
        imsave(explain / name, np.zeros((4, 4)))
    report, found = made(tmp_path, "run")
    captions = [p.caption for p in report.runs[0].explained]
    assert captions == ["tsne", "attention/s0_0"]
    assert "mepipe explain" not in found.text
    assert report.faces == ["demo"]
    report, found = made(tmp_path, "run", faces=False)
    assert [p.caption for p in report.runs[0].explained] == ["tsne"]
    assert "1 pictures that may show faces are left out" in found.text
    assert report.faces == []
    (explain / "tsne.png").unlink()
    (explain / "tsne.png").symlink_to(folder / "one" / "metrics.json")
    with pytest.raises(MepipeError, match="leads out of its folder"):
        made(tmp_path, "run")


def test_where_nothing_is_explained_the_command_is_named(folder, one):
    assert f"mepipe explain {folder / 'one'}" in one.text


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"datasets": 3}),
        ("config.json", {"classes": ["one"]}),
        ("features.json", {"read": {"demo": {}}}),
        ("environment.json", {"versions": []}),
        ("metrics.json", {"UF1": "high"}),
        ("metrics.json", {"confusion": [[1]]}),
        ("folds/s0.json", {"labels": []}),
        ("folds/s0.json", {"predicted": []}),
    ],
)
def test_a_damaged_file_is_named(folder, tmp_path, file, change):
    shutil.copytree(folder / "two", tmp_path / "run")
    path = tmp_path / "run" / file
    content = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(MepipeError, match=r"Run its command again"):
        made(tmp_path, "run")
