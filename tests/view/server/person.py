"""Somebody at the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

SAMPLE = "s000_03"  # onset 103, apex 138, offset 178
ONSET, APEX, OFFSET = 103, 138, 178
FLOW = "flow.tvl1-00000003"
READY = (
    "return [...document.querySelectorAll('.stage canvas')].length >= 5 && !document.querySelector('.stage .absent')"
)


class User:
    """What a person does, and sees."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, at: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(self.address + at)

    def sample(self, name: str = SAMPLE, query: str = "") -> None:
        self.open(f"#/sample/synthetic/{name}{query}")
        self.wait(lambda: self.pixel(FLOW) is not None)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        self.wait(lambda: self.all(selector))
        return self.all(selector)[0]

    def chip(self, text: str) -> WebElement:
        return next(chip for chip in self.all("button") if chip.text.startswith(text))

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def drag(self, element: WebElement, start: float, end: float) -> None:
        """Across an element, in shares of its width from its left."""
        width = element.size["width"]
        chain = ActionChains(self.driver, duration=20).move_to_element_with_offset(
            element, int((start - 0.5) * width), 0
        )
        chain.click_and_hold().move_to_element_with_offset(element, int((end - 0.5) * width), 0).release().perform()

    def frame(self) -> float:
        return float(self.one(".playhead").get_attribute("aria-valuenow") or "nan")

    def hash(self) -> str:
        return str(self.driver.execute_script("return location.hash"))

    def count(self) -> str:
        return self.one(".count").text

    def pixel(self, panel: str, x: float = 0.5, y: float = 0.5) -> list[int] | None:
        """RGB of a panel at a place, in shares; None where nothing is drawn yet."""
        script = """const canvas = document.querySelector(arguments[0]);
        if (!canvas) return null;
        const at = [arguments[1] * canvas.width, arguments[2] * canvas.height].map(Math.floor);
        const data = canvas.getContext("2d").getImageData(...at, 1, 1).data;
        return data[3] ? [...data.slice(0, 3)] : null;"""
        selector = f"[data-panel='{panel}'] canvas" if panel else ".wipe canvas"
        found: list[int] | None = self.driver.execute_script(script, selector, x, y)
        return found

    def wait(self, until: Callable[[], Any], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if until():
                    return
            except (JavascriptException, StaleElementReferenceException):  # the page is being drawn anew
                pass
            time.sleep(0.03)
        pytest.fail("waited in vain")
