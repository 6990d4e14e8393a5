"""`mepipe view` where it cannot serve."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import mepipe

_WITHOUT = """
import sys
sys.modules["starlette"] = None
from mepipe.cli import main
sys.argv = ["mepipe", "view", "--no-browser"]
main()
"""


def test_help_needs_no_server() -> None:
    script = (
        "import sys; from mepipe.cli import cli; cli(['view', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "token" in result.stdout
    assert not {"starlette", "uvicorn", "numpy", "matplotlib"} & set(result.stdout.split())


def test_where_the_extra_is_not_installed_it_says_which() -> None:
    result = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'mepipe[view]'" in result.stderr


def test_the_port_is_checked() -> None:
    assert mepipe("view", "--port", "99999", check=False).returncode == 2
