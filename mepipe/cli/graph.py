"""mepipe graph."""

from __future__ import annotations

import json

import click


@click.command("graph", epilog="Example: mepipe graph features --mermaid > features.mmd")
@click.argument("recipe")
@click.option("--mermaid", is_flag=True, help="Only the Mermaid text, for a document.")
@click.option("--json", "as_json", is_flag=True, help="Nodes with stage, input, parameters and key, as JSON.")
def command(recipe: str, mermaid: bool, as_json: bool) -> None:
    """Print a recipe's DAG, as text and as Mermaid.

    RECIPE is a name (features, mpt) or a YAML file.
    """
    from mepipe.recipe.model import load
    from mepipe.recipe.resolve import resolve
    from mepipe.recipe.show import as_mermaid, as_text

    nodes = resolve(load(recipe))
    if as_json:
        content = {
            n.name: {
                "stage": n.stage.name,
                "input": n.input,
                "params": n.lineage["params"],
                "dtype": n.dtype,
                "key": n.key,
            }
            for n in nodes.values()
        }
        click.echo(json.dumps(content, indent=1))
        return
    if not mermaid:
        click.echo(as_text(nodes) + "\n")
    click.echo(as_mermaid(nodes))
