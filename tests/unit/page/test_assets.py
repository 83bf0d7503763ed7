"""Files of the page: complete, reviewed, small, and without what its policy forbids."""

import hashlib
import re

from services.page.assets import FOLDER, UPLOT, Asset, load_page

ALL_BYTES_MAX = 200_000
LINES_MAX = 400
LINE_MAX = 100


def own_scripts() -> dict[str, str]:
    return {
        path: asset.body.decode()
        for path, asset in load_page().assets.items()
        if path.endswith(".js") and path != f"{FOLDER}uplot.js"
    }


def test_uplot_files_are_the_reviewed_ones() -> None:
    assets = load_page().assets
    for name, digest in UPLOT.values():
        assert hashlib.sha256(assets[FOLDER + name].body).hexdigest() == digest
    assert "Leon Sorokin" in assets[f"{FOLDER}NOTICE.txt"].body.decode()


def test_all_files_together_stay_within_their_budget() -> None:
    assert sum(len(asset.body) for asset in load_page().assets.values()) <= ALL_BYTES_MAX


def test_every_import_and_link_names_a_file_of_the_page() -> None:
    assets = load_page().assets
    for path, text in own_scripts().items():
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert FOLDER + name in assets, (path, name)
    links = re.findall(r'(?:src|href)="(/page/[^"]+)"', assets["/"].body.decode())
    assert len(links) >= 5
    assert set(links) <= set(assets)


def test_own_scripts_write_no_html_and_keep_house_numbers() -> None:
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:")
    for path, text in own_scripts().items():
        assert not [word for word in forbidden if word in text], path
        lines = text.splitlines()
        assert lines[0].startswith("// "), path
        assert len(lines) <= LINES_MAX, path
        assert max(map(len, lines)) <= LINE_MAX, path


def test_version_of_the_page_is_in_it_and_changes_with_any_file() -> None:
    page: Asset = load_page().assets["/"]
    assert re.search(rb'name="page-version" content="[0-9a-f]{12}"', page.body)
