"""Mean frame."""

from tests.run.stages_for_tests import MEAN as STAGE

__all__ = ["STAGE"]
