"""Read by every Python process with this folder on PYTHONPATH, workers too: faults from the first instruction on."""

import os

if "LAB_FAULT" in os.environ:
    from tests.faults import inject

    inject.install(os.environ["LAB_FAULT"])
