"""One sample in a browser: what is drawn is known, pixel by pixel."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from benchmarks import synthetic_store as truth
from mepipe.view.colour import flow_colours

pytest.importorskip("selenium")

from selenium.webdriver.common.keys import Keys

from tests.view.server.person import APEX, FLOW, OFFSET, ONSET, User


def colour(sample: int, frame: int, scale: float) -> np.ndarray:
    """Of the disc's flow at one of the 16 frames."""
    far, angle = truth.amount(sample)
    flow = np.array([math.cos(angle), math.sin(angle)]) * far * truth.course(frame)
    return np.asarray(flow_colours(flow[:, None, None], scale)[0, 0] * 255)


def test_the_flow_is_drawn_in_its_colours_at_the_frame_that_is_due(user: User) -> None:
    user.sample()
    assert user.frame() == APEX
    scale = float(user.driver.execute_script(
        "return new URL(document.querySelector('img.key.flow').src).searchParams.get('scale')"))  # fmt: skip
    for key, frame in (("a", 7), ("o", 1), ("f", 15)):  # at the onset the first flow there is
        user.press(key)
        np.testing.assert_allclose(user.pixel(FLOW), colour(3, frame, scale), atol=2)
    assert user.frame() == OFFSET
    user.press(Keys.ARROW_LEFT)
    assert user.frame() == OFFSET - 5
    np.testing.assert_allclose(user.pixel(FLOW), colour(3, 14, scale), atol=2)
    assert "frame 173 · 350 ms" in user.one(f"[data-panel='{FLOW}']").text


def test_it_plays_at_real_and_at_slow_speed(user: User) -> None:
    user.sample()
    watch = """const done = arguments[1], head = document.querySelector(".playhead"), seen = [];
    const now = () => { seen.push([performance.now(), Number(head.getAttribute("aria-valuenow"))]);
      performance.now() - seen[0][0] > arguments[0] ? done(seen) : requestAnimationFrame(now); };
    requestAnimationFrame(now);"""
    for key, slow in (("4", 10), ("1", 1)):
        user.press(key)
        user.press("o")
        user.press(" ")
        assert user.one(".play").text == "Pause"
        seen = np.array(user.driver.execute_async_script(watch, 1200))
        user.press(" ")
        rising = np.diff(seen[:, 1]) > 0
        speed = np.diff(seen[:, 1])[rising].sum() / np.diff(seen[:, 0])[rising].sum() * 1000
        assert speed == pytest.approx(truth.FPS / slow, rel=0.25)
        assert user.one(".play").text == "Play"
    stood = user.frame()
    time.sleep(0.1)
    assert user.frame() == stood


def test_the_playhead_is_dragged_along_the_curve_and_stays_in_the_address(user: User) -> None:
    user.sample()
    chart = user.one(".chart")
    user.drag(chart, 0.5, 0.25)
    between = user.frame()
    assert ONSET < between < APEX
    user.drag(chart, 0.25, 0.999)
    assert user.frame() == OFFSET
    user.drag(chart, 0.9, 0.4)
    user.wait(lambda: f"frame={round(user.frame(), 1):g}" in user.hash())
    link = user.hash()
    user.open(link)
    user.wait(lambda: user.frame() == float(link.split("frame=")[1].split("&")[0]))


def test_a_wipe_shows_one_left_and_the_other_right_on_one_scale(user: User) -> None:
    user.sample(query="?compare=flow.tvl1-00000003,motion-map-00000005:flow")
    user.wait(lambda: user.pixel("") is not None)
    user.press("o")  # the flow of the first frame beside that of the apex
    user.wait(lambda: not np.allclose(user.pixel("", 0.4), user.pixel("", 0.6), atol=3))
    scale = float(user.driver.execute_script(
        "return new URL(document.querySelector('.comparison img.key').src).searchParams.get('scale')"))  # fmt: skip
    np.testing.assert_allclose(user.pixel("", 0.4), colour(3, 1, scale), atol=2)
    np.testing.assert_allclose(user.pixel("", 0.6), colour(3, truth.APEX, scale), atol=2)
    user.drag(user.one(".wipe"), 0.5, 0.75)
    np.testing.assert_allclose(user.pixel("", 0.6), colour(3, 1, scale), atol=2)
    user.wait(lambda: "wipe=0.7" in user.hash())
    before = float(user.one(".line").get_attribute("aria-valuenow") or "nan")
    user.press("[")
    assert float(user.one(".line").get_attribute("aria-valuenow") or "nan") == pytest.approx(before - 5, abs=1)
    user.press("x")
    user.wait(lambda: np.allclose(user.pixel("", 0.6), colour(3, truth.APEX, scale), atol=2))
    user.press("c")
    user.wait(lambda: not user.all(".comparison"))


def test_panels_landmarks_scales_and_lineage_are_a_key_or_a_press_away(user: User) -> None:
    user.sample()
    shown = len(user.all(".panel"))
    user.chip("motion-map · strain").click()
    user.wait(lambda: len(user.all(".panel")) == shown + 1)
    before = user.pixel("frames-00000001", *_landmark())
    user.press("l")
    user.wait(lambda: user.pixel("frames-00000001", *_landmark()) == [86, 180, 233])
    user.press("l")
    user.wait(lambda: user.pixel("frames-00000001", *_landmark()) == before)
    user.press("s")
    user.wait(lambda: "hold=flow" in user.hash())
    held = user.one("img.key.flow").get_attribute("src")
    user.press("n")
    user.wait(lambda: user.one(".heading h1").text == "s000_04")
    assert "scale" in str(held)
    assert str(held).split("scale=")[1] == str(user.one("img.key.flow").get_attribute("src")).split("scale=")[1]
    user.press("i")
    assert "align 1" in user.one(".lineage").text


def _landmark() -> tuple[float, float]:
    x, y = truth.values(3, 32)["landmarks"][5]
    return (x + 0.5) / 32, (y + 0.5) / 32
