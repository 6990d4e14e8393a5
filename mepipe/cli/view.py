"""mepipe view."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from mepipe.cli import common


@click.command(
    "view",
    epilog="Examples: mepipe view; mepipe view --store /mnt/team/features.zarr --port 8000. On a machine that is "
    "reached by ssh: ssh -L 8000:localhost:8000 HOST, and there mepipe view --port 8000.",
)
@common.store
@click.option("--runs", type=click.Path(file_okay=False, path_type=Path), help="The folder of runs.  [default: runs]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port.  [default: one that is free]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at. Elsewhere than on this machine alone, who opens the page needs the token printed.",
)
@click.option("--token", is_flag=True, help="Ask for a token in any case: others may log in to this machine.")
@click.option("--browser/--no-browser", default=True, help="Open a browser.  [default: from a terminal]")
def command(store: str | None, runs: Path | None, port: int, host: str, token: bool, browser: bool) -> None:
    """Serve a local page to look at a store and its runs, until interrupted. Nothing is written."""
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.errors import UsageError

    try:
        from mepipe.view.server import serve
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        msg = f"mepipe view needs {error.name}. Run: pip install 'mepipe[view]'"
        raise UsageError(msg) from None
    known = settings.load()
    page = serve.Page(stores.open(store or known.store), runs or known.runs, host, port, token)
    click.echo(f"{page.address}  (Ctrl-C ends it)")
    if browser and sys.stdout.isatty() and _has_browser():
        page.open_browser()
    page.run()


def _has_browser() -> bool:
    """Whether a browser would have a screen: over SSH there is none."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
