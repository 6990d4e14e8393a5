"""From a recipe to resolved nodes: stages found, parameters complete, keys computed.

A key hashes what made a feature: stage, version, parameters with their defaults, upstream keys, the versions of the
libraries that the stage declares as changing values, the digests of the weights that its parameters call for, and the
dtype it is stored as where the recipe chose one. It never holds paths, workers, devices, compression or source text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import ValidationError

from mepipe import weights
from mepipe.errors import MepipeError, UsageError
from mepipe.recipe.model import SOURCE, Recipe, explain
from mepipe.stages import declare
from mepipe.stages.declare import Output, Params, Stage


@dataclass(frozen=True)
class Resolved:
    """A node whose stage, parameters and key are known.

    key: identity of the stored feature. value_key: of the values as computed, which is what downstream keys hash, so
        that storing a node, or storing it as another dtype, changes nothing that follows from it.
    lineage: what the key hashes, with that of the upstream node nested under `upstream`; plain JSON.
    reads: manifest fields that the values depend on, this node's and those of all upstream.
    dtype: as stored; None where the node is not stored.
    """

    name: str
    stage: Stage
    params: Params
    input: str
    dtype: str | None
    key: str
    value_key: str
    lineage: dict[str, Any] = field(hash=False)
    reads: tuple[str, ...]

    @property
    def output(self) -> Output:
        """What one sample of it is, under its parameters."""
        return self.stage.output(self.params)

    @property
    def folder(self) -> str:
        """Where the feature lies in its snapshot."""
        return f"{self.name}-{self.key[:8]}"


def canonical(value: Any) -> bytes:
    """JSON with one spelling: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        msg = f"{name} is not installed, and extraction needs it. Install it with: pip install 'mepipe[extract]'"
        raise MepipeError(msg) from None


def resolve(recipe: Recipe, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Resolved]:
    """The nodes of a recipe by name, each after what feeds it.

    overrides: {node: {parameter: value}}, as given on the command line.
    """
    nodes: dict[str, Resolved] = {}
    for name in recipe.order():
        node = recipe.nodes[name]
        stage = declare.get(node.stage)
        where = f"Recipe {recipe.name!r}, node {name!r}"
        try:
            params = stage.params.model_validate({**node.params, **(overrides or {}).get(name, {})})
        except ValidationError as error:
            raise UsageError(f"{where}, parameters of {stage.name}: {explain(error, stage.params)}") from None
        upstream = nodes.get(node.input)
        offered = upstream.output.kind if upstream else SOURCE
        if offered not in stage.inputs:
            msg = f"{where}: {stage.name} takes a {' or a '.join(stage.inputs)}, and {node.input!r} gives a {offered}."
            raise UsageError(msg)
        dtype = node.store if isinstance(node.store, str) else stage.output(params).dtype if node.store else None
        named = stage.weights(params)
        networks = [name for name in named if weights.get(name).network]
        libraries = (*stage.libraries, *(("torch",) if networks else ()))
        lineage = {
            "stage": stage.name,
            "version": stage.version,
            "params": params.model_dump(mode="json"),
            "libraries": {library: _library(library) for library in libraries},
            **({"weights": {name: weights.digest(name) for name in named}} if named else {}),
            "upstream": upstream.lineage if upstream else SOURCE,
        }
        value_key = _hash({**lineage, "upstream": upstream.value_key if upstream else SOURCE})
        nodes[name] = Resolved(
            name=name,
            stage=stage,
            params=params,
            input=node.input,
            dtype=dtype,
            key=_hash({"value": value_key, "stored": node.store}) if isinstance(node.store, str) else value_key,
            value_key=value_key,
            lineage=lineage,
            reads=tuple(sorted({"onset", "offset", *stage.reads(params), *(upstream.reads if upstream else ())})),
        )
    return nodes


def needed(nodes: Mapping[str, Resolved], wanted: Iterable[str]) -> list[str]:
    """The wanted nodes and all that feeds them, in an order that can be computed."""
    keep: set[str] = set()
    for name in wanted:
        while name in nodes and name not in keep:
            keep.add(name)
            name = nodes[name].input
    return [name for name in nodes if name in keep]
