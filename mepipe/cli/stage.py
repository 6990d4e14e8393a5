"""The commands of the stages, derived from their declarations: one node of a recipe, parameters as options."""

from __future__ import annotations

from typing import Any

import click

from mepipe.cli import extracting
from mepipe.cli.options import option
from mepipe.errors import UsageError
from mepipe.stages import declare


def command(name: str) -> click.Command:
    """The command of a stage."""
    stage = declare.get(name)

    @extracting.options
    @click.option("--node", help="Which node of the recipe, where several are of this stage.")
    def run(node: str | None, **given: Any) -> None:
        shared = {key: given.pop(key) for key in list(given) if key in extracting.Request.__dataclass_fields__}
        request = extracting.Request(**shared)
        _run(stage, request, node, {k: v for k, v in given.items() if v is not None})

    parameters = [option(n, f, "stage's default") for n, f in stage.params.model_fields.items()]
    click_command = click.command(name, help=stage.summary)(run)
    click_command.params.extend(parameters)
    return click_command


def _run(stage: declare.Stage, request: extracting.Request, node: str | None, given: dict[str, Any]) -> None:
    from mepipe.recipe.model import load
    from mepipe.recipe.resolve import resolve

    recipe = load(request.recipe)
    candidates = [n for n, spec in recipe.nodes.items() if spec.stage == stage.name]
    chosen = node or next(iter(sorted(candidates, key=lambda n: not recipe.nodes[n].store)), None)
    if chosen not in candidates or chosen is None:
        known = ", ".join(candidates) or "none"
        msg = f"Recipe {recipe.name!r} has no {stage.name} node {chosen or ''}; it has: {known}."
        raise UsageError(msg)
    spec = recipe.nodes[chosen]
    if not spec.store:
        recipe = recipe.model_copy(update={"nodes": {**recipe.nodes, chosen: spec.model_copy(update={"store": True})}})
    nodes = resolve(recipe, {chosen: given})
    extracting.run(request, f"{recipe.name}+{chosen}", nodes, [chosen])
