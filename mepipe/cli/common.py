"""Options that many commands have."""

from __future__ import annotations

import click

store = click.option("--store", help="The store, a folder or URL.  [default: cache/features.zarr]")
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
