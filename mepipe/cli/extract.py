"""mepipe extract."""

from __future__ import annotations

from typing import Any

import click

from mepipe.cli import extracting


@click.command(
    "extract",
    epilog="Example: mepipe extract --dataset samm. Run again, it computes only what is missing. "
    "Exit status 1: some samples failed.",
)
@extracting.options
@click.option("--feature", "-f", multiple=True, metavar="NODE", help="Only these nodes of the recipe.")
def command(feature: tuple[str, ...], **given: Any) -> None:
    """Compute the features of a database that are missing."""
    from mepipe.errors import UsageError
    from mepipe.names import nearest
    from mepipe.recipe.model import load
    from mepipe.recipe.resolve import resolve

    request = extracting.Request(**given)
    recipe = load(request.recipe)
    nodes = resolve(recipe)
    stored = [name for name, node in nodes.items() if node.dtype]
    for name in feature:
        if name not in stored:
            known = ", ".join(stored)
            msg = f"Recipe {recipe.name!r} stores no node {name!r}.{nearest(name, stored)} It stores: {known}."
            raise UsageError(msg)
    wanted = [name for name in stored if not feature or name in feature]
    ref = recipe.name if not feature else f"{recipe.name}+{'+'.join(feature)}"
    extracting.run(request, ref, nodes, wanted)
