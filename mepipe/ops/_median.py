"""Compiled 5 x 5 median of a flow component, for `mepipe.ops.tvl1` alone; four times as fast as OpenCV's for float32.

A sorting network whose columns are shared by neighbouring windows. Once columns and then rows of the 5 x 5 values are
sorted, the median is the median of three: the largest of the anti-diagonal above the main one, the median of the main
anti-diagonal, and the smallest of the one below. (Checked over all 6^5 column-sorted patterns of zeros and ones, which
by the zero-one principle is a proof: tests/ops/test_median.py.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Values are finite, which `nnan` says; without it min and max are not single instructions.
_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": {"nnan"}}
# Unsigned, so that no index can be negative: a test for that would keep loops from being vectorised.
_1, _2, _3, _4 = (np.uint64(number) for number in range(1, 5))


@njit(inline="always")
def _sorted(a, b, c, d, e):
    a, b = min(a, b), max(a, b)
    d, e = min(d, e), max(d, e)
    c, e = min(c, e), max(c, e)
    c, d = min(c, d), max(c, d)
    b, e = min(b, e), max(b, e)
    a, d = min(a, d), max(a, d)
    a, c = min(a, c), max(a, c)
    b, d = min(b, d), max(b, d)
    b, c = min(b, c), max(b, c)
    return a, b, c, d, e


@njit(**_OPTIONS)
def _sort_columns(r0, r1, r2, r3, r4, a, b, c, d, e):
    for x in range(r0.size):
        a[x], b[x], c[x], d[x], e[x] = _sorted(r0[x], r1[x], r2[x], r3[x], r4[x])


@njit(**_OPTIONS)
def _select(a, b, c, d, e, out):
    """Medians of a row; a..e: sorted columns, two more on either side than `out` is long."""
    for index in range(out.size):
        x = np.uint64(index)
        _, _, _, a3, a4 = _sorted(a[x], a[x + _1], a[x + _2], a[x + _3], a[x + _4])
        _, _, b2, b3, b4 = _sorted(b[x], b[x + _1], b[x + _2], b[x + _3], b[x + _4])
        _, c1, c2, c3, _ = _sorted(c[x], c[x + _1], c[x + _2], c[x + _3], c[x + _4])
        d0, d1, d2, _, _ = _sorted(d[x], d[x + _1], d[x + _2], d[x + _3], d[x + _4])
        e0, e1, _, _, _ = _sorted(e[x], e[x + _1], e[x + _2], e[x + _3], e[x + _4])
        low = max(max(a3, b2), max(c1, d0))
        _, _, middle, _, _ = _sorted(a4, b3, c2, d1, e0)
        high = min(min(b4, c3), min(d2, e1))
        out[x] = max(min(low, middle), min(max(low, middle), high))


@njit("void(float32[:,::1])", **_OPTIONS)
def median5(field):
    """In place, over all but the outermost ring of `field` [H+2, W+2]; beyond it, the nearest value is repeated."""
    height, width = field.shape[0] - 2, field.shape[1] - 2
    source = field.copy()
    columns = np.empty((5, width + 4), np.float32)
    for y in range(height):
        _sort_columns(
            source[max(y - 2, 0) + 1, 1:-1],
            source[max(y - 1, 0) + 1, 1:-1],
            source[y + 1, 1:-1],
            source[min(y + 1, height - 1) + 1, 1:-1],
            source[min(y + 2, height - 1) + 1, 1:-1],
            columns[0, 2:-2],
            columns[1, 2:-2],
            columns[2, 2:-2],
            columns[3, 2:-2],
            columns[4, 2:-2],
        )
        columns[:, 0] = columns[:, 1] = columns[:, 2]
        columns[:, -1] = columns[:, -2] = columns[:, -3]
        _select(columns[0], columns[1], columns[2], columns[3], columns[4], field[y + 1, 1:-1])
