"""Texts of the vision-language models, against the papers' own, letter by letter."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from mepipe.errors import MepipeError, UsageError
from mepipe.models import prompts
from mepipe.train import schemes
from tests.conftest import SHARED

GOLDEN = SHARED / "reference" / "golden" / "mer_clip.npz"


def paper(name: str) -> str:
    path = SHARED / "papers" / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"needs {name}.txt of ../shared/papers")
    return path.read_text()


def test_descriptions_of_action_units_are_those_of_table_ii() -> None:
    printed = re.findall(r"AU(\d+) \| ([^|]+) \| ([^|]+) \|", paper("mer_clip"))
    assert len(printed) == 18
    for number, name, action in printed:
        assert prompts.phrases(number) == (action,)
        assert prompts.phrases(number, style="name") == (name,)


def test_templates_are_those_of_table_xii() -> None:
    printed = re.findall(r"^\| (\d+) \| ([^|]*\{\}[^|]*) \|$", paper("mer_clip"), flags=re.MULTILINE)
    assert [int(number) for number, _ in printed] == list(range(1, 11))
    assert prompts.templates(10) == tuple(text for _, text in printed)
    assert prompts.templates() == prompts.templates(10)[:7]
    assert prompts.templates(1) == ("This micro-expression involves {}.",)


@pytest.mark.parametrize(
    ("aus", "text"),
    [
        ("1", "raising the inner part of the brows"),  # both printed in section III-C
        ("6+12", "a combination of raising the cheeks and pulling the corners of the lips"),
        # all further ones from the published lists of texts
        ("4+7", "a combination of lowering the brows and tightening the lids"),
        ("9+10?", "a combination of wrinkling the nose and raising the upper lip might be present"),
    ],
)
def test_a_combination_reads_as_published(aus: str, text: str) -> None:
    assert prompts.combination(prompts.phrases(aus)) == text


def test_lists_of_other_databases_have_a_comma_before_the_last() -> None:
    text = "a combination of wrinkling the nose, lowering the brows"
    assert prompts.combination(prompts.phrases("9+4"), last=",") == text


@pytest.mark.parametrize(
    ("key", "template", "aus"), [("prompts", 1, "1+2"), ("prompts", 6, "4"), ("long_prompt", 7, "1+2+5+7")]
)
def test_whole_prompts_are_those_of_the_published_code(key: str, template: int, aus: str) -> None:
    if not GOLDEN.exists():
        pytest.skip(f"needs {GOLDEN.name} of ../shared/reference/golden")
    ours = prompts.templates(7)[template - 1].format(prompts.combination(prompts.phrases(aus)))
    assert ours in np.load(GOLDEN)[key].reshape(-1).tolist()


@pytest.mark.parametrize(
    ("aus", "expected"),
    [
        ("L1", ("raising the inner part of the left brow",)),
        ("R12|L14", ("pulling the right corner of the lips or creating the left dimple",)),
        ("A/L10+17B", ("raising the left upper lip", "raising the chin")),
        ("L25", ("parting the lips",)),  # without a one-sided form, the unit's own
        ("R17", ("raising the chin to the right",)),
        ("ref(43)+AD38", ("closing the eyes", "dilating the nostrils")),
        ("?", ()),
        ("", ()),
    ],
)
def test_side_doubt_and_alternatives_are_kept(aus: str, expected: tuple[str, ...]) -> None:
    assert prompts.phrases(aus) == expected


def test_without_units_there_is_no_text() -> None:
    with pytest.raises(UsageError, match="No action unit is annotated"):
        prompts.combination(())


def test_a_unit_without_words_is_named() -> None:
    with pytest.raises(MepipeError, match=r"No words for action unit R99\. Add it to .*action_units\.yaml"):
        prompts.phrases("1+R99")


def test_the_group_of_anger_is_the_papers() -> None:
    (anger,) = prompts.groups(["anger"])
    for part in (anger.template, anger.marker, anger.name, anger.movement):
        assert part in paper("hcp_mer")
    assert f"is “{anger.movement}”" in paper("hcp_mer")
    assert f"[CLASSM] is “{anger.marker}”" in paper("hcp_mer")
    assert f"“{anger.template} [CLASSM] [CLASSE]”" in paper("hcp_mer")
    assert anger.holistic == "a photo of micro-expression of anger"
    assert anger.componential == (
        "a photo of micro-expression of A combination of lowering and drawing the brows together, "
        "pressing the lips firmly, and sometimes flaring the nostrils."
    )


def scheme_classes() -> set[tuple[str, ...]]:
    """The classes of every scheme of emotions, for every database that it is for."""
    found = set()
    for name in schemes.names():
        for dataset in ("samm", "casme2", "smic", "casme3", "dfme", "demo"):
            try:
                found.add(schemes.scheme(name, dataset).classes)
            except UsageError:
                continue
    return {classes for classes in found if "I" not in classes}


@pytest.mark.parametrize("classes", sorted(scheme_classes()), ids="-".join)
def test_every_class_of_every_scheme_has_a_group_of_its_own(classes: tuple[str, ...]) -> None:
    found = prompts.groups(classes)
    assert len({group.holistic for group in found}) == len(classes)
    assert len({group.componential for group in found}) == len(classes)


def test_a_class_without_a_group_is_named() -> None:
    with pytest.raises(UsageError, match="no prompts for class 'boredom'"):
        prompts.groups(["anger", "boredom"])


def test_texts_of_unit_4_are_the_papers_and_all_differ_by_not() -> None:
    active, absent = prompts.unit_texts([4])[0]
    assert f'P samples is "{active}"; that of N samples is "{absent}"' in paper("micro_au_clip")
    for dataset in ("casme2", "samm"):
        for active, absent in prompts.unit_texts(schemes.unit_set("micro-au", dataset).units):
            assert re.sub(r" (is|are) not ", r" \1 ", absent) == active != absent


def test_a_unit_without_texts_is_named() -> None:
    with pytest.raises(UsageError, match="no texts for action unit 57"):
        prompts.unit_texts([4, 57])


def test_emotions_keep_the_combinations_of_the_units_that_are_detected() -> None:
    found = prompts.emotion_units([2, 4, 7, 12])  # of SAMM; by hand from the table
    assert {name: set(map(tuple, map(sorted, units))) for name, units in found.items()} == {
        "positive": {(12,), (7, 12)},
        "negative": {(4,), (4, 7), (7,), (2, 4)},
        "surprise": {(2,)},
    }


def test_what_two_categories_share_tells_neither() -> None:
    found = prompts.emotion_units([1])  # of 1+2 (surprise), 1 and 1+4 (sadness) only 1 is left
    assert found == {"positive": (), "negative": (), "surprise": ()}


def test_the_digest_is_of_the_file_that_a_person_reads() -> None:
    folder = Path(prompts.__file__).with_suffix("")
    assert {path.stem for path in folder.iterdir()} == set(prompts.FILES)
    found = prompts.digests(*prompts.FILES)
    assert found["hcp_mer"] == hashlib.sha256((folder / "hcp_mer.yaml").read_bytes()).hexdigest()
    assert len(set(found.values())) == len(prompts.FILES)


def test_every_text_fits_clips_77_tokens() -> None:
    clip = pytest.importorskip("mepipe.networks.clip", reason="needs open_clip")
    groups = prompts.groups(schemes.scheme("five", "casme2").classes + schemes.scheme("seven", "dfme").classes)
    texts = [group.componential for group in groups]
    texts += [text for pair in prompts.unit_texts(schemes.unit_set("micro-au", "casme2").units) for text in pair]
    assert clip.tokens(texts).shape == (len(texts), 77)
    # HCP_MER's eight learned tokens, start and end beside
    assert max(len(clip.pieces(f"{group.marker} {group.movement}")) for group in groups) + 10 <= 77
