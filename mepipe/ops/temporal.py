"""Mixing the frames of a clip in time: the product that magnification, rank pooling and smoothing share.

A temporal filter does the same to every pixel, so that over a clip of T frames it is a matrix with T columns.
That matrix is built once, in float64, and applied to all pixels in one product.
"""

from __future__ import annotations

import numpy as np

# Pixels per block: the block, its product and its source stay in a core's cache (60 frames of float32: 0.5 MB).
BLOCK = 2048


def mix(weights: np.ndarray, frames: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
    """`weights @ (frames - frames[0])`, plus `onto` where given: float32 [N, ...].

    weights: float [N, T]. frames: uint8 or float [T, ...]. onto: [...] or [N, ...] of the frames' shape.
    Working on the change since the first frame costs nothing where the rows of `weights` sum to zero (a
    band-pass, rank pooling), or to one with `onto=frames[0]` (smoothing). It keeps float32 exact where
    nothing moves: a still clip gives exactly `onto`.
    """
    rows = frames.reshape(len(frames), -1)
    kernel = np.ascontiguousarray(weights, dtype=np.float32)
    out = np.empty((len(kernel), rows.shape[1]), dtype=np.float32)
    base = None if onto is None else onto.reshape(-1, rows.shape[1])
    # Taken once: memory of this size, taken anew for each block, costs as much as the rest.
    changes, products = (np.empty((count, BLOCK), dtype=np.float32) for count in (len(rows), len(kernel)))
    for start in range(0, rows.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        source = rows[:, block]
        change, product = changes[:, : source.shape[1]], products[:, : source.shape[1]]
        change[:] = source  # twice as fast as subtracting uint8 as float32
        change -= change[0].copy()
        np.matmul(kernel, change, out=product)
        if base is None:
            out[:, block] = product
        else:
            np.add(product, base[:, block], out=out[:, block])
    return out.reshape(len(kernel), *frames.shape[1:])
