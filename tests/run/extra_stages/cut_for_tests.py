"""Cut a corner out of every frame."""

from tests.run.stages_for_tests import CUT as STAGE

__all__ = ["STAGE"]
