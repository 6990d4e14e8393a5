"""A recipe: which stages, with which parameters, fed by which; read from YAML, checked, closed."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mepipe.errors import UsageError
from mepipe.names import nearest

SOURCE = "source"
_NODE_NAME = re.compile(r"[a-z][a-z0-9._]*(-[a-z0-9._]+)*")


class Node(BaseModel):
    """One step of a recipe: a stage with its parameters, fed by the source or by another node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    input: str
    params: dict[str, Any] = Field(default_factory=dict)
    store: bool | Literal["uint8", "float16", "float32"] = False


class Recipe(BaseModel):
    """Named nodes; `store` says which are written, and as which dtype where not as computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    nodes: dict[str, Node] = Field(min_length=1)

    def order(self) -> list[str]:
        """Node names, each after what feeds it; UsageError where an input is unknown or a circle closes."""
        for name, node in self.nodes.items():
            if not _NODE_NAME.fullmatch(name) or name == SOURCE:
                msg = f"Recipe {self.name!r}: {name!r} cannot name a node. Use small letters, digits, . _ and -."
                raise UsageError(msg)
            if node.input != SOURCE and node.input not in self.nodes:
                known = [*self.nodes, SOURCE]
                msg = f"Recipe {self.name!r}, node {name!r}: no node {node.input!r}.{nearest(node.input, known)}"
                raise UsageError(msg)
        graph = {n: [] if node.input == SOURCE else [node.input] for n, node in self.nodes.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            msg = f"Recipe {self.name!r}: nodes feed each other in a circle: {' -> '.join(error.args[1])}."
            raise UsageError(msg) from None


def _folders() -> list[Path]:
    """Where recipes lie, nearest first: the working folder's, this checkout's, those installed with mepipe."""
    package = Path(__file__).parents[1]
    return [Path("pipelines"), package.parent / "pipelines", package / "pipelines"]


def available() -> list[str]:
    """The names of the recipes that `load` finds."""
    return sorted({p.stem for folder in _folders() for p in folder.glob("*.yaml")})


def load(name: str) -> Recipe:
    """The recipe of a name (`features`) or of a file (`my/recipe.yaml`), checked."""
    if name.endswith((".yaml", ".yml")):
        return parse(_read(Path(name)), name)
    for folder in _folders():
        path = folder / f"{name}.yaml"
        if re.fullmatch(r"[\w-]+", name) and path.is_file():
            return parse(_read(path), str(path))
    msg = f"No recipe {name!r}.{nearest(name, available())} Recipes: {', '.join(available()) or 'none'}."
    raise UsageError(msg)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Recipe {path}: cannot be read ({error})."
        raise UsageError(msg) from None


def parse(text: str, where: str) -> Recipe:
    """The recipe in a YAML text; UsageError names file, field and the nearest valid name."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"Recipe {where}: not YAML: {error}"
        raise UsageError(msg) from None
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"Recipe {where}: {explain(error, Node)}") from None
    recipe.order()
    return recipe


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint of a validation, as one line: field, problem, value, nearest valid name."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return f"no field {field!r}.{nearest(str(first['loc'][-1]), known)} Fields: {', '.join(known)}."
    return f"{field}: {first['msg'][0].lower()}{first['msg'][1:]} (got {first['input']!r})."
