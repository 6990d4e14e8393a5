"""Options that are derived from a class of parameters: those of stages, and of models."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo


def option(name: str, field: FieldInfo, whose: str) -> click.Option:
    """The option of a parameter, not given by default; whose: the default that its help tells."""
    flag = f"--{name.replace('_', '-')}"
    text = f"{field.description} [{whose}: {field.default}]"
    if field.annotation is bool:
        return click.Option([f"{flag}/--no-{name.replace('_', '-')}"], default=None, help=text)
    if get_origin(field.annotation) is Literal:
        return click.Option([flag], type=click.Choice(get_args(field.annotation)), help=text)
    # Several values are one text here; the parameter model takes them apart.
    kind = str if get_origin(field.annotation) is tuple else field.annotation
    return click.Option([flag], type=kind, help=text)
