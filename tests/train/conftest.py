"""What the tests of trainings share."""

import pytest

from tests.train import stand_in


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small store of MPT's features."""
    place = tmp_path_factory.mktemp("store") / "features.zarr"
    stand_in.write_store(place)
    return place
