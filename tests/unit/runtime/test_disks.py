"""The metrics of disks: measured at each scrape, for the folders of the setting."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.runtime.disks import measure_disks
from services.runtime.errors import SettingsError


def sample(name: str, folder: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"folder": folder})


def test_disks_of_all_folders_are_measured(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    measure_disks(f"{one}, {other},")
    for folder in (one, other):
        size, used = (sample(f"exchange_disk_{name}bytes", str(folder)) for name in ("", "used_"))
        assert size is not None
        assert used is not None
        assert 0 < used < size
    assert sample("exchange_disk_bytes", "") is None


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"EXCHANGE_DISKS: .*nowhere: No such file"):
        measure_disks(str(tmp_path / "nowhere"))
