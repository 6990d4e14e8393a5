"""Pictures of the page for the documentation: docs/view/*.png, of a store and its runs, in a headless Chromium.

python -m benchmarks.screenshots --store cache/features.zarr --runs runs
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import browser
from mepipe import settings, store

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).parents[1] / "docs" / "view"
_READY = """const middle = (canvas) => [canvas.width / 2, canvas.height / 2, 1, 1];
const drawn = (canvas) => canvas.getContext("2d").getImageData(...middle(canvas)).data[3];
const away = (image) => image.getBoundingClientRect().top > innerHeight;
return [...document.images].every((image) => image.naturalWidth || away(image))
  && [...document.querySelectorAll("canvas")].every(drawn)
  && document.querySelector("#main > div") !== null;"""


def main() -> None:
    known = settings.load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--store", default=known.store)
    parser.add_argument("--runs", type=Path, default=known.runs)
    parser.add_argument("--dataset", help="default: the first there is")
    parser.add_argument("--sample", help="default: the first there is")
    parser.add_argument("--run", help="default: the last by name")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    dataset = given.dataset or store.open(given.store).datasets()[0]
    sample = given.sample or store.open(given.store).feature(f"{dataset}/frames").ids[0]
    run = given.run or sorted(path.parent.name for path in given.runs.glob("*/metrics.json"))[-1]
    with browser.served(["--store", given.store, "--runs", given.runs]) as (address, _), browser.chromium() as driver:
        for name, (at, size) in _pages(dataset, sample, run).items():
            _take(driver, f"{address}{at}", size, given.out / f"{name}.png")
            print(given.out / f"{name}.png")
        said = browser.complaints(driver)
        if said:
            raise SystemExit("\n".join(["The console says:", *said]))


def _pages(dataset: str, sample: str, run: str) -> dict[str, tuple[str, dict[str, Any]]]:
    wide = {"width": 1280, "height": 800}
    here = f"#/sample/{dataset}/{sample}"
    return {
        "samples": (f"#/samples/{dataset}", wide),
        "sample": (here, wide),
        "compare": (f"{here}?compare=&points=1&speed=5", {**wide, "dark": True}),
        "run": (f"#/runs/{run}", wide),
        "narrow": (here, {"width": 420, "height": 800, "dark": True}),
    }


def _take(driver: Chrome, address: str, size: dict[str, Any], path: Path) -> None:
    browser.resize(driver, **size)
    driver.get("about:blank")
    driver.get(address)
    for _ in range(600):
        if driver.execute_script(_READY):
            break
        time.sleep(0.05)
    time.sleep(0.3)
    browser.shot(driver, path)


if __name__ == "__main__":
    main()
