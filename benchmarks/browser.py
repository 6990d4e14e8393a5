"""The page in a headless Chromium, as a person drives it: for tests, screenshots and measurements."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def program() -> str | None:
    """Where Chromium is; None where it or its driver is not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found if shutil.which("chromedriver") else None


@contextmanager
def served(arguments: Sequence[object], **variables: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`mepipe view` in a process of its own: its address, and the process."""
    command = [sys.executable, "-m", "mepipe", "view", "--no-browser", *map(str, arguments)]
    env = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("http"):
                msg = f"mepipe view says {line!r}, and no address"
                raise RuntimeError(msg)
            yield line.split()[0], process
        finally:
            process.terminate()


@contextmanager
def chromium(width: int = 1280, height: int = 800, dark: bool = False) -> Iterator[Chrome]:
    """A new, empty browser whose window shows so many pixels of the page."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(prefix="mepipe-chromium-") as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = str(program())
        for flag in (*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # type: ignore[no-untyped-call]
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            resize(driver, width, height, dark)
            yield driver
        finally:
            driver.quit()


def resize(driver: Chrome, width: int, height: int, dark: bool = False) -> None:
    """Another size of what is shown, and another scheme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme: dict[str, Any] = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)


def complaints(driver: Chrome) -> list[str]:
    """What the console has said since it was asked last, errors and warnings; not of our reading of its canvases."""
    entries = driver.get_log("browser")  # type: ignore[no-untyped-call]
    said = [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
    return [message for message in said if "getImageData" not in message]


def shot(driver: Chrome, path: Path) -> None:
    """What is shown, as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(path))
