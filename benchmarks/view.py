"""The page over a store of ten thousand samples: how long it takes to see something, and how much memory it costs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import browser, synthetic_store
from benchmarks.tables import Asked, Report, Row, Table

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

TITLE = "The page over ten thousand samples"
_TEXT = """\
`mepipe view` over a store of {count} synthetic samples ({size} x {size} px, 16 frames, seven features; {distinct}
different ones, of which the others are further names), in a headless Chromium of 1280 x 800 on the same machine. First
page: from the call of the address to the last thumbnail in sight; of a server just begun it is the first request.
Filter: from the press to the next picture on the screen, and to the last thumbnail. Sample: from the call of the
address to the last panel drawn, each of another sample; next: by key, after a second, in which it was fetched ahead.
Scrolling: 2,400 px a second for three seconds. Memory is the largest that the server ever had, after all this,
{thumbs} thumbnails, and {parallel} requests at once."""
_PARALLEL = 1000
_DISTINCT = 48

# Scripts in the page; the last argument is called with the answer.
_LOADED = """const done = arguments[arguments.length - 1];
const visible = ({top, bottom}) => top < innerHeight && bottom > 0;
const blank = () => [...document.querySelectorAll(".tile img")].filter((one) => !one.complete || !one.naturalWidth);
const pending = () => !document.querySelector(".tile") || blank().some((one) => visible(one.getBoundingClientRect()));
const painted = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
const loaded = (then) => (pending() ? setTimeout(() => loaded(then), 5) : painted(then));
"""
_FIRST = _LOADED + "loaded(() => done(performance.now()));"
_PRESS = (
    _LOADED
    + """const chips = [...document.querySelectorAll("button.chip")], began = performance.now();
chips.find((chip) => chip.textContent.startsWith(arguments[0])).click();
painted(() => {
  const drawn = performance.now() - began;
  loaded(() => done([drawn, performance.now() - began]));
});"""
)
_DRAWN = """const done = arguments[0];
const painted = (canvas) => canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3];
const drawn = () => {
  const all = [...document.querySelectorAll(".stage canvas")];
  return all.length >= 5 && all.every(painted);
};
"""
_PANELS = _DRAWN + "const look = () => (drawn() ? done(performance.now()) : setTimeout(look, 5)); look();"
_NEXT = (
    _DRAWN
    + """const name = () => document.querySelector("h1").textContent, before = name(), began = performance.now();
document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "n", bubbles: true}));
const look = () => (name() !== before && drawn() ? done(performance.now() - began) : setTimeout(look, 2));
look();"""
)
_SCROLL = """const done = arguments[0], grid = document.querySelector(".grid"), gaps = [], began = performance.now();
let before = began;
const step = (now) => {
  gaps.push(now - before);
  grid.scrollTop += 2.4 * (now - before);
  before = now;
  now - began > 3000 ? done(gaps.slice(1)) : requestAnimationFrame(step);
};
requestAnimationFrame(step);"""


def run(quick: bool = False) -> Report:
    """Ten thousand samples of 224 pixels; a thousand of 64 when `quick`."""
    count, size = (1000, 64) if quick else (10_000, 224)
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        root = Path(name) / "features.zarr"
        opened = synthetic_store.make(root, count, size, distinct=_DISTINCT)
        ids = opened.feature("synthetic/frames").ids
        rows, asked = _measure(root, ids, 5 if quick else 25)
        shutil.rmtree(root)
    text = _TEXT.format(count=count, size=size, distinct=_DISTINCT, thumbs=count // 4, parallel=_PARALLEL)
    return Report(TITLE, text, [Table("The page", ("what", "median", "worst", "unit"), rows)], asked)


def _measure(root: Path, ids: list[str], repeats: int) -> tuple[list[Row], list[Asked]]:
    began = time.perf_counter()
    with browser.served(["--store", root]) as (address, process), browser.chromium() as driver:
        started = time.perf_counter() - began
        driver.set_script_timeout(60)
        first = _page(driver, address)
        later = [_page(driver, address) for _ in range(4)]
        filters = _filters(driver)
        gaps = np.array(driver.execute_async_script(_SCROLL))
        samples = [_sample(driver, address, ids[i * 7]) for i in range(repeats)]
        nexts = [_next(driver) for _ in range(repeats)]
        _thumbs(address, ids[::4])
        answers = _at_once(address, ids)
        memory = _megabytes(process)
    drawn, loaded = zip(*filters, strict=True)
    rows: list[Row] = [
        ("start, to the address", started, started, "s"),
        ("first page, server just begun", first, first, "ms"),
        ("first page again", *_spread(later), "ms"),
        ("filter: drawn", *_spread(drawn), "ms"),
        ("filter: thumbnails there", *_spread(loaded), "ms"),
        ("scrolling: between two pictures", *_spread(gaps), "ms"),
        ("sample: all panels", *_spread(samples), "ms"),
        ("next sample, by key", *_spread(nexts), "ms"),
        (f"{_PARALLEL} requests at once: served", float(answers[200]), float(answers[200]), "of them"),
        ("memory of the server, largest", memory, memory, "MB"),
    ]
    asked = [
        Asked("first page: ms", first, "<=", 1000.0),
        Asked("filter, worst: ms", max(drawn), "<=", 200.0),
        Asked("filter with thumbnails, median: ms", float(np.median(loaded)), "<=", 200.0),
        Asked("memory: MB", memory, "<=", 500.0),
    ]
    return rows, asked


def _spread(values: object) -> tuple[float, float]:
    found = np.asarray(values, float)
    return float(np.median(found)), float(found.max())


def _page(driver: Chrome, address: str) -> float:
    driver.get("about:blank")
    driver.get(address)
    return float(driver.execute_async_script(_FIRST))


def _filters(driver: Chrome) -> list[tuple[float, float]]:
    """Each chip once on and once off: ms to the next picture, ms to the last thumbnail."""
    chips = ("happiness", "surprise", "12", "4", "failed", "incomplete")
    return [tuple(driver.execute_async_script(_PRESS, chip)) for chip in chips for _ in range(2)]


def _sample(driver: Chrome, address: str, sample: str) -> float:
    driver.get("about:blank")
    driver.get(f"{address}#/sample/synthetic/{sample}")
    return float(driver.execute_async_script(_PANELS))


def _next(driver: Chrome) -> float:
    time.sleep(1.0)  # somebody looks at it
    return float(driver.execute_async_script(_NEXT))


def _thumbs(address: str, ids: list[str]) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda sample: _get(f"{address}thumbs?dataset=synthetic&id={sample}"), ids))


def _at_once(address: str, ids: list[str]) -> Counter[int]:
    """How requests for as many different strips and thumbnails are answered."""
    ask: Callable[[int], int] = lambda i: _get(  # noqa: E731
        f"{address}strip?dataset=synthetic&panel=flow.tvl1-00000003&id={ids[i * 7 % len(ids)]}&scale=1"
        if i % 2
        else f"{address}thumbs?dataset=synthetic&id={ids[i * 7 % len(ids)]}"
    )
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return Counter(pool.map(ask, range(_PARALLEL)))


def _get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _megabytes(process: subprocess.Popen[str]) -> float:
    """The largest memory that a process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3
