"""The page in a browser, driven as a person would: all samples, filters, runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import browser
from benchmarks import synthetic_store as truth
from tests.view.server.conftest import COUNT

pytest.importorskip("selenium")

from selenium.webdriver.common.keys import Keys

from tests.view.server.person import SAMPLE, User


def test_all_samples_are_there_with_pictures(user: User) -> None:
    assert user.count() == f"{COUNT} samples"
    loaded = "return [...document.querySelectorAll('.tile img')].every(i => i.complete && i.naturalWidth > 0)"
    user.wait(lambda: user.driver.execute_script(loaded))
    assert len(user.all(".tile img")) == len(user.all(".tile")) - len(user.all(".tile .blank")) > 30
    failed = next(tile for tile in user.all(".tile") if "s000_19" in tile.text)
    assert truth.WHY in failed.text
    assert "failed" in failed.text


def test_filters_narrow_add_up_and_are_in_the_address(user: User) -> None:
    user.chip("disgust").click()
    assert user.count() == f"10 of {COUNT} samples"
    user.chip("happiness").click()
    assert user.count() == f"20 of {COUNT} samples"
    assert "emotion=disgust" in user.hash()
    user.driver.back()
    user.wait(lambda: user.count() == f"10 of {COUNT} samples")
    user.chip("Take all filters off").click()
    units = {str(unit): sum(unit in units for units in _units()) for unit in (1, 9, 15)}
    for unit, count in units.items():
        user.chip(unit).click()
        assert user.count() == f"{count} of {COUNT} samples"
        user.chip(unit).click()
    user.chip("failed").click()
    assert user.count() == f"3 of {COUNT} samples"
    user.chip("failed").click()
    user.chip("blink").click()
    assert [tile.text.split("\n")[1] for tile in user.all(".tile")] == [SAMPLE]
    link = user.hash()
    user.open(link)
    user.wait(lambda: user.count() == f"1 of {COUNT} samples")


def _units() -> list[set[int]]:
    from mepipe.view.server.documents import _units as parse

    return [set(parse(truth.UNITS[(i // 2) % 6])) for i in range(COUNT)]


def test_search_finds_words_anywhere_in_a_row(user: User) -> None:
    user.press("/")
    user.press("ANGER s001")
    assert user.count() == f"4 of {COUNT} samples"  # 40, 46, 52, 58
    user.press(" nobody")
    assert "No sample is like this" in user.one(".notes").text


def test_a_sample_opens_and_the_way_back_leads_to_it(user: User) -> None:
    user.chip("repression").click()
    user.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    user.wait(lambda: user.all(".heading h1"))
    name, place = user.one(".heading h1").text, user.one(".heading .muted").text
    assert (name, place) == ("s000_09", "2 of 10")
    user.press("n")
    user.wait(lambda: user.one(".heading h1").text == "s000_15")
    user.press(Keys.ESCAPE)
    user.wait(lambda: user.count() == f"10 of {COUNT} samples")
    user.driver.back()
    user.wait(lambda: user.one(".heading h1").text == "s000_15")


def test_the_help_lists_the_keys_of_the_page(user: User) -> None:
    user.press("?")
    assert "search" in user.one("dialog").text
    user.press(Keys.ESCAPE)
    user.wait(lambda: not user.all("dialog"))
    user.sample()
    user.press("?")
    assert "wipe to the left" in user.one("dialog").text


def test_a_sample_that_failed_shows_why(user: User) -> None:
    user.open("#/sample/synthetic/s000_19")
    user.wait(lambda: len(user.all(".absent")) >= 4)
    assert truth.WHY in user.one(".stage").text
    user.press(" ", Keys.ARROW_RIGHT, "c", "x", "l", "s", "]")
    assert truth.WHY in user.one(".stage").text
    assert "null" not in user.one(".sample").text


def test_runs_lead_to_the_samples_they_got_wrong(user: User) -> None:
    user.one("#pages a:last-child").click()
    user.one("tbody a").click()
    user.wait(lambda: user.all(".scores"))
    text = user.one(".runs").text
    assert "selected on test data" in text
    assert "last epoch" in text
    assert "Misclassified: 1 of 4" in text
    user.one("[aria-label='true positive, predicted positive: 2']").click()
    user.wait(lambda: len(user.all(".wrong .tile")) == 2)
    user.driver.back()
    user.wait(lambda: len(user.all(".wrong .tile")) == 1)
    user.one(".wrong .tile").click()
    user.wait(lambda: user.one(".heading h1").text == "s000_01")
    broken = browser.complaints(user.driver)  # the fixture's picture is none
    assert all("picture" in message for message in broken)


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_is_wider_than_the_window(user: User, width: int) -> None:
    for at in ("#/samples/synthetic", f"#/sample/synthetic/{SAMPLE}?compare=", "#/runs"):
        browser.resize(user.driver, width, 800)
        user.open(at)
        user.wait(lambda: user.all("#main > div"))
        time.sleep(0.2)
        wide = user.driver.execute_script("return document.getElementById('main').scrollWidth")
        assert wide <= width, at
        sideways = "return [...document.querySelectorAll('.grid')].map(e => e.scrollWidth - e.clientWidth)"
        assert not any(user.driver.execute_script(sideways)), at


def test_what_is_not_there_is_said(lab: Path, opened: User) -> None:
    for at, text in (
        ("#/sample/synthetic/nobody", "no sample 'nobody'"),
        ("#/samples/nix", "no dataset 'nix'"),
        ("#/runs/x", "no run"),
    ):
        opened.open(at)
        opened.wait(lambda text=text: text in opened.one("#main").text)
    browser.complaints(opened.driver)


def test_a_token_in_the_address_opens_the_page_and_goes(lab: Path, opened: User) -> None:
    with browser.served(["--store", lab / "features.zarr", "--token"]) as (address, _):
        other = User(opened.driver, address)
        other.driver.get(address + f"#/sample/synthetic/{SAMPLE}")
        other.wait(lambda: other.all(".heading h1"))
        assert "token" not in other.driver.current_url
        assert other.one(".heading h1").text == SAMPLE
    browser.complaints(opened.driver)
