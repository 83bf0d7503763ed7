"""Size and use of the disks of given folders, as metrics that are measured at each scrape."""

import shutil
from functools import partial
from pathlib import Path

from services.runtime.errors import SettingsError
from services.runtime.metrics import DISK_BYTES, DISK_USED_BYTES
from services.runtime.settings import variable


def measure_disks(folders: str) -> None:
    """Export both metrics for each folder of the list. Raises SettingsError for one that is
    missing."""
    for text in filter(None, map(str.strip, folders.split(","))):
        folder = Path(text)
        try:
            _size(folder)
        except OSError as error:
            raise SettingsError(f"{variable('disks')}: {text}: {error.strerror}") from error
        DISK_BYTES.labels(text).set_function(partial(_size, folder))
        DISK_USED_BYTES.labels(text).set_function(partial(_used, folder))


def _size(folder: Path) -> float:
    """Bytes that programs may fill: without those that the file system reserves."""
    usage = shutil.disk_usage(folder)
    return float(usage.used + usage.free)


def _used(folder: Path) -> float:
    return float(shutil.disk_usage(folder).used)
