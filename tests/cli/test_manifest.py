"""mepipe manifest, as a person types it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from mepipe.cli import cli
from mepipe.datasets import adapters, manifest
from mepipe.datasets.manifest import Sample
from mepipe.errors import UsageError
from tests.train import official

LIST = Path(official.__file__).parent / "data" / "cde_442.csv"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases of the official shape (CASME II with its sheet of 2019) and their manifests, built by the command."""
    place = tmp_path_factory.mktemp("official")
    rows = [line.split(",") for line in LIST.read_text(encoding="utf-8").splitlines()]
    of = {name: [row[1:] for row in rows if row[0] == name] for name in ("casme2", "smic", "samm")}
    roots = {
        "casme2": official.casme2(place / "CASME2", of["casme2"], "2019"),
        "smic": official.smic(place / "SMIC", of["smic"]),
        "samm": official.samm(place / "SAMM", of["samm"]),
    }
    (place / "manifests").mkdir()
    for name, root in roots.items():
        text = manifest.dump(adapters.load(name).read(root).samples)
        (place / "manifests" / f"{name}.csv").write_text(text, encoding="utf-8")
    return place


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without settings of this machine."""
    for name in ("MEPIPE_MANIFESTS", "MEPIPE_ROOT_SAMM", "MEPIPE_ROOT_CASME2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def official_at(built: Path, at: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with a copy of the official manifests in its place for manifests."""
    shutil.copytree(built / "manifests", at / "manifests")
    return at


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["manifest", *map(str, arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    return result.stdout


def test_show_prints_the_classes_beside_those_of_the_official_sheet(official_at: Path) -> None:
    text = run("show", "casme2", "--scheme", "cde-3")
    lines = [line.split() for line in text.splitlines()]
    assert ["negative", "88", "88"] in lines
    assert ["all", "145", "145"] in lines
    assert ["subjects", "24", "24"] in lines
    assert "As from the official sheet (2014 or 2019)." in text
    assert "sub04_EP12_01f: the sheet has '/' for its apex" in text
    assert "licence" in text


def test_show_says_which_edition_of_the_sheet_the_classes_are_those_of(official_at: Path) -> None:
    text = run("show", "casme2", "--classes", "5")
    assert ["surprise", "28", "25", "28"] in [line.split() for line in text.splitlines()]
    assert "As from the official sheet (2019)." in text
    assert "Differs" not in text


def test_show_names_what_differs_from_the_official_sheet(official_at: Path) -> None:
    path = official_at / "manifests" / "samm.csv"
    samples = manifest.read(path)
    gone = next(s for s in samples if s.emotion == "Surprise")
    path.write_text(manifest.dump(s for s in samples if s != gone), encoding="utf-8")
    assert "Differs from the official sheet (v2): surprise 14 instead of 15" in run("show", path, "--scheme", "cde-3")
    about = json.loads(run("show", "samm", "--scheme", "cde-3", "--json"))
    assert about["classes"] == {"negative": 92, "positive": 26, "surprise": 14}
    assert about["tables"][0]["expected"][0]["differs"] == {"surprise": [14, 15]}


def test_show_counts_each_part_of_a_split(at: Path) -> None:
    (at / "manifests").mkdir()
    rows = [("train", "sub0001"), ("train", "sub0002"), ("test-a", "sub0003")]
    samples = [
        Sample(id=s, subject=s, clip=s, onset=0, apex=1, offset=2, fps=200, emotion="fear", split=split)
        for split, s in rows
    ]
    (at / "manifests" / "dfme.csv").write_text(manifest.dump(samples), encoding="utf-8")
    about = json.loads(run("show", "dfme", "--scheme", "seven", "--json"))
    assert about["splits"] == {"train": 2, "test-a": 1}
    assert {t["of"]: t["classes"]["fear"] for t in about["tables"]} == {"dfme test-a": 1, "dfme train": 2}
    assert {t["of"]: t["expected"][0]["classes"]["fear"] for t in about["tables"]} == {
        "dfme test-a": 62,
        "dfme train": 265,
    }


def test_show_counts_action_units(official_at: Path) -> None:
    about = json.loads(run("show", "samm", "--scheme", "micro-au", "--json"))
    assert about["action units"] == {"AU2": 0, "AU4": 159, "AU7": 159, "AU12": 0}


def test_show_of_the_composite_has_its_442_samples_of_68_subjects(official_at: Path) -> None:
    about = json.loads(run("show", "cde", "--json"))
    assert (about["samples"], about["subjects"]) == (442, 68)
    assert about["classes"] == {"negative": 250, "positive": 109, "surprise": 83}
    assert not any(sheet["differs"] for table in about["tables"] for sheet in table["expected"])
    assert {t["of"]: sum(t["classes"].values()) for t in about["tables"]} == {"casme2": 145, "smic": 164, "samm": 133}
    assert ["all", "164", "164"] in [line.split() for line in run("show", "cde").splitlines()]


def test_the_composite_is_compared_with_the_official_list(official_at: Path) -> None:
    assert run("diff", "cde", LIST) == "no difference\n"
    text = LIST.read_text(encoding="utf-8")
    text = text.replace("samm,6,006_1_2,0\n", "").replace("smic,s01,s01_ne_01,0", "smic,s01,s01_ne_01,2")
    (official_at / "list.csv").write_text(text + "casme2,sub05,EP09_05f,0\n", encoding="utf-8")
    assert run("diff", "cde", "list.csv", status=1).splitlines() == [
        "sample samm/006_1_2: not in list.csv",
        "sample smic/s1_ne_01: negative, in list.csv surprise",
        "sample casme2/sub05_EP09_05f: only in list.csv "
        "(the sheet's apex is its onset, and the official list is without it)",
    ]


def test_a_composite_has_one_scheme(official_at: Path) -> None:
    result = CliRunner().invoke(cli, ["manifest", "show", "cde", "--scheme", "five"])
    assert isinstance(result.exception, UsageError)
    assert "defined by scheme cde-3" in str(result.exception)


def test_check_prints_findings_the_worst_first_and_counts_them(built: Path, official_at: Path) -> None:
    root = official_at / "SAMM"
    shutil.copytree(built / "SAMM", root)
    (root / "SAMM" / "006" / "006_1_2" / "006_0010.jpg").unlink()  # its onset
    (root / "SAMM" / "006" / "006_77_1").mkdir()
    lines = run("check", "samm", "--root", root, status=1).splitlines()
    assert lines[0].startswith("error    SAMM_Micro_FACS_Codes_v2.xlsx, row ")
    assert "006_1_2" in lines[0]
    assert lines[1].startswith("warning  SAMM/006/006_77_1 ")
    assert lines[2] == "1 error, 1 warning"
    assert lines[3:] == [
        "manifest and release differ: sample 006_1_2: gone",
        "158 samples, 2 findings, 1 difference from manifests/samm.csv",
    ]
    found = json.loads(run("check", "samm", "--root", root, "--json", status=1))
    assert [f["severity"] for f in found["findings"]] == ["error", "warning"]


def test_check_of_a_release_that_has_no_manifest_yet(built: Path, at: Path) -> None:
    assert "no manifest at" in run("check", "smic", "--root", built / "SMIC")


def test_a_licensed_manifest_in_a_git_repository_is_ignored_by_git(built: Path, at: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    for name in ("smic", "samm", "smic"):
        run("build", name, "--root", built / name.upper())
    ignored = {
        name: subprocess.run(["git", "check-ignore", "--quiet", f"manifests/{name}.csv"], check=False).returncode == 0
        for name in ("smic", "samm", "demo")
    }
    assert ignored == {"smic": True, "samm": True, "demo": False}
    assert len((at / "manifests" / ".gitignore").read_text(encoding="utf-8").splitlines()) == 3


def test_a_private_repository_keeps_its_own_gitignore(built: Path, at: Path) -> None:
    (at / ".git").mkdir()
    (at / "manifests").mkdir()
    (at / "manifests" / ".gitignore").touch()
    run("build", "smic", "--root", built / "SMIC")
    assert (at / "manifests" / ".gitignore").read_text(encoding="utf-8") == ""


def test_outside_of_a_repository_no_gitignore_is_written(built: Path, at: Path) -> None:
    run("build", "smic", "--root", built / "SMIC")
    assert not (at / "manifests" / ".gitignore").exists()
