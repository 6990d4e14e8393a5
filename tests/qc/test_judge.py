from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.qc import judge
from mepipe.qc.judge import LIMITS

FACTS = {
    **dict.fromkeys(("apex", "peak", "away", "blink_at", "motion", "turn_at", "rigid_at", "light_at"), 40.0),
    **dict.fromkeys(("reason", "twin", "how", "shared_with"), "that"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_every_flag_is_raised_on_its_side_of_the_limit_and_says_why(name: str) -> None:
    limit = LIMITS[name]
    beyond, within = limit.limit + 0.1, limit.limit - 0.1
    if limit.below:
        beyond, within = within, beyond
    raised = judge.judge({name: beyond}, FACTS)
    assert [flag["flag"] for flag in raised["flags"]] == [name]
    flag = raised["flags"][0]
    assert flag["limit"] == limit.limit
    assert flag["value"] == pytest.approx(beyond)
    assert flag["why"]
    assert "{" not in flag["why"]
    assert flag.get("at_ms") == (40.0 if limit.at else None)
    assert raised["score"] >= 1
    calm = judge.judge({name: max(within, 0.0)}, FACTS)
    assert calm["flags"] == []
    assert calm["score"] <= 1
    json.dumps(raised, allow_nan=False)


@given(st.dictionaries(st.sampled_from(sorted(LIMITS)), st.floats(0, 1e6), max_size=8))
def test_scores_are_finite_and_flags_come_gravest_first(values: dict[str, float]) -> None:
    found = judge.judge(values, FACTS)
    named = [flag["flag"] for flag in found["flags"]]
    assert set(named) == {name for name, value in values.items() if LIMITS[name].exceeded(value)}
    severities = [LIMITS[name].severity(values[name]) for name in named]
    assert severities == sorted(severities, reverse=True)
    assert found["score"] == pytest.approx(sum(severities), abs=1e-3) if named else found["score"] <= 1
    json.dumps(found, allow_nan=False)


def test_limits_lie_beyond_what_clean_clips_reach() -> None:
    for name, limit in LIMITS.items():
        if limit.clean:
            clean = float(limit.clean)
            assert clean >= 2 * limit.limit if limit.below else limit.limit >= 1.5 * clean, name


def test_every_flag_is_explained() -> None:
    for about in judge.explained().values():
        assert about["unit"]
        assert len(about["why"]) > 20
    json.dumps(judge.explained(), allow_nan=False)


def test_the_page_on_quality_has_every_limit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "qc.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): cells for line in page.splitlines() if (cells := line.split("|"))[1:]}
    for name, limit in LIMITS.items():
        assert rows[name][2].split()[:2] == ["below" if limit.below else "above", f"{limit.limit:g}"]
