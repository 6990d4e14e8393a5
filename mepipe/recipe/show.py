"""A resolved recipe as text for a terminal, and as Mermaid for a document."""

from __future__ import annotations

from collections.abc import Mapping

from mepipe.recipe.model import SOURCE
from mepipe.recipe.resolve import Resolved


def _changed(node: Resolved) -> str:
    """The parameters that differ from the stage's defaults."""
    default = type(node.params)()
    return ", ".join(f"{n}={v}" for n, v in node.params if v != getattr(default, n))


def as_text(nodes: Mapping[str, Resolved]) -> str:
    """The DAG as a tree from the source; stored nodes with their dtype and key."""
    lines = [SOURCE]

    def walk(parent: str, indent: str) -> None:
        children = [n for n in nodes.values() if n.input == parent]
        for node in children:
            last = node is children[-1]
            params = _changed(node)
            stored = f"  -> {node.dtype} {node.output.dims} [{node.key[:8]}]".replace("'", "") if node.dtype else ""
            title = f"{node.name}: {node.stage.name}{f'({params})' if params else ''}"
            lines.append(f"{indent}{'└─' if last else '├─'} {title}{stored}")
            walk(node.name, indent + ("   " if last else "│  "))

    walk(SOURCE, "")
    return "\n".join(lines)


def as_mermaid(nodes: Mapping[str, Resolved]) -> str:
    """The DAG as a Mermaid flowchart; stored nodes are drawn as cylinders."""
    ids = {SOURCE: "source", **{name: f"n{i}" for i, name in enumerate(nodes)}}
    lines = ["flowchart LR", f"  {ids[SOURCE]}([source])"]
    for node in nodes.values():
        params = _changed(node)
        label = f"<b>{node.name}</b><br>{node.stage.name}{f'<br>{params}' if params else ''}"
        shape = f'[("{label}")]' if node.dtype else f'["{label}"]'
        lines.append(f"  {ids[node.name]}{shape}")
        lines.append(f"  {ids[node.input]} --> {ids[node.name]}")
    return "\n".join(lines)
