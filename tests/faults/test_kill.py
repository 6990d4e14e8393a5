"""Killed at any instruction, a store completes to the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import chaos, scenarios
from tests.faults.lab import Lab
from tests.faults.scenarios import Scenario


@pytest.fixture(scope="module")
def black(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Six samples, one of which fails, so that failures are killed too."""
    lab = Lab(tmp_path_factory.mktemp("black"), black=True)
    yield lab
    lab.close()


@pytest.fixture(scope="module", params=scenarios.ALL)
def scenario(black: Lab, request: pytest.FixtureRequest) -> Scenario:
    return scenarios.ALL[request.param](black)


@pytest.mark.parametrize("length", [None, 0], ids=["killed", "torn"])
def test_killed_at_a_step_a_store_completes_to_the_same_bytes(
    scenario: Scenario, length: int | None, tmp_path: Path
) -> None:
    for step in chaos.sample(scenario, per_kind=1, seed=scenario.name + str(length), writes=length is not None):
        assert scenario.kill(tmp_path / "s", step, length) == [], (step, scenario.steps[step - 1])


@pytest.mark.slow
def test_killed_at_every_step_a_store_completes_to_the_same_bytes(scenario: Scenario, tmp_path: Path) -> None:
    for step in range(1, len(scenario.steps) + 1):
        assert scenario.kill(tmp_path / "s", step, None) == [], (step, scenario.steps[step - 1])


def test_random_kills_of_a_run_and_its_workers_leave_no_difference(tmp_path: Path) -> None:
    report = chaos.randomly(tmp_path, kills=3, seed=7, per_round=3)
    assert report.wrong == []
    assert report.kills == 3
