"""A demo database: look-alike releases whose micro-expressions are synthetic and whose motion is known exactly.

`write` makes one; `truth.load` reads a clip's motion; `render.clip` makes single clips without files.
"""

from mepipe.datasets.demo.writer import DemoSummary, write

__all__ = ["DemoSummary", "write"]
