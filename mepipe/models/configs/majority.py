"""The commonest class of the training samples, whatever a sample shows: what any model has to be better than."""

from __future__ import annotations

from mepipe.models.configs import Parameters


class MajorityConfig(Parameters):
    """There is nothing to choose."""


CONFIGURATIONS = {"paper": MajorityConfig(), "tiny": MajorityConfig()}
