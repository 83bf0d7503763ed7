"""Paths that the proxy and the example ingress pass on."""

import re
from pathlib import Path
from typing import Any

import msgspec

from services.page.assets import load_page

ROOT = Path(__file__).parents[2]
ACCESS = (ROOT / "docs/access.md").read_text()
# Of the gateway alone: without it, neither the reader nor ingest has them.
FEEDS = {"/ws", "/stream"}
# Operators and probes reach them from within.
INSIDE = {"/livez", "/readyz", "/admin"}


def documented() -> set[str]:
    """The paths of all calls."""
    return {path for _, path in re.findall(r"^\| `([A-Z]+) (/[^`?]*)", ACCESS, re.MULTILINE)}


def test_proxy_passes_what_only_the_gateway_has_to_it() -> None:
    caddyfile = (ROOT / "infra/proxy/Caddyfile").read_text()
    (patterns,) = re.findall(r"@gateway path (.*)", caddyfile)
    wanted = FEEDS | {"/operations", *load_page().assets}
    wanted |= {path for path in documented() if path.startswith("/webhooks")}
    for path in wanted:
        assert any(
            path.startswith(each[:-1]) if each.endswith("*") else path == each
            for each in patterns.split()
        ), path


def test_ingress_publishes_the_api_the_page_and_the_feeds() -> None:
    file = ROOT / "infra/kubernetes/overlays/example/ingress.yaml"
    ingress: dict[str, Any] = msgspec.yaml.decode(file.read_bytes())
    (rule,) = ingress["spec"]["rules"]
    published = {each["path"]: each["pathType"] for each in rule["http"]["paths"]}
    wanted = documented() | FEEDS | set(load_page().assets)
    assert len(wanted) > 20
    for path in wanted:
        first = "/" + path.split("/")[1]
        is_published = published.get(path) == "Exact" or published.get(first) == "Prefix"
        assert is_published is (first not in INSIDE), path
