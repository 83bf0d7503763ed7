"""`exchange run` in difficult surroundings: proxy, locale, PG* variables, umask, folder, IPv6."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from infra.ports import free_port, listen_error
from services.local.data_dir import read_endpoints
from tests.support.run_command import run_command

KEY = "admin-key-of-this-test"
PROXY = f"http://127.0.0.1:{free_port()}"
SURROUNDINGS = {
    **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"), PROXY),
    "no_proxy": "",
    "LC_ALL": "C",
    "PGSSLMODE": "require",
    "PGOPTIONS": "-c nonsense=1",
    "PGHOSTADDR": "192.0.2.1",
    "PGSERVICE": "nonsense",
    "PGCLIENTENCODING": "LATIN1",
    "EXCHANGE_DATA_DIR": "data",
    "EXCHANGE_ADMIN_KEY_FILE": "./key",
}


@pytest.mark.timeout(200)
def test_run_starts_in_difficult_surroundings_and_its_lines_work(tmp_path: Path) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    folder = tmp_path / "Área de Trabalho" / "x y"
    data_dir = folder / "data"
    data_dir.mkdir(parents=True)
    data_dir.chmod(0o755)
    (folder / "key").write_text(KEY)
    host = "::1" if listen_error(0, "::1") is None else "127.0.0.1"
    variables = SURROUNDINGS | {"EXCHANGE_HOST": host}
    with run_command(tmp_path / "run.log", variables, cwd=folder, umask=0o777) as run:
        assert run.degraded() == {}
        pasted = subprocess.run(
            [shell, "-e"],
            input=run.lines_to_paste(),
            env=run.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        *_, book, cancelled = pasted.stdout.split()
        assert '"bids":[{"price":3712,"total_quantity":100,"order_count":1}]' in book
        assert cancelled == "204"
        endpoints = read_endpoints(data_dir)
        assert endpoints is not None
        assert endpoints.url == run.url
        modes = {path: path.lstat().st_mode for path in (data_dir, *data_dir.rglob("*"))}
    assert stat.S_IMODE(modes[data_dir]) == 0o700
    assert [path for path, mode in modes.items() if mode & 0o077] == []
