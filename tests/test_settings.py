"""Settings: where what lies."""

from pathlib import Path

import pytest

from mepipe import settings
from mepipe.errors import UsageError


@pytest.mark.parametrize("dataset", ["smic-vis", "smic_vis", "SMIC-VIS"])
def test_a_variable_names_the_root_that_the_error_asks_it_for(monkeypatch, tmp_path: Path, dataset: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="set MEPIPE_ROOT_SMIC_VIS"):
        settings.load().root(dataset)
    monkeypatch.setenv("MEPIPE_ROOT_SMIC_VIS", "releases/smic")
    assert settings.load().root(dataset) == tmp_path / "releases" / "smic"
