"""Every metric in the dashboard and alerts is exported by a service that Prometheus scrapes."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.rest import Problem
from services.api.messages import PROBLEMS
from tests.support.compose_file import OUR_IMAGE, environment, services
from tests.support.promql import (
    ALERTS,
    DASHBOARD,
    MONITORING,
    Expression,
    exported_samples,
    expressions,
    read,
)

ALERT_TESTS = MONITORING / "alerts_test.yml"
EXPRESSIONS = list(expressions())
JOBS: dict[str, dict[str, Any]] = {
    job["job_name"]: job for job in read(MONITORING / "prometheus.yml")["scrape_configs"]
}
# Labels that Prometheus adds to every scraped sample.
TARGET_LABELS = {"job", "instance"}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda each: each.text)
def test_expression_names_only_exported_metrics_and_labels(expression: Expression) -> None:
    samples = exported_samples()
    assert expression.metrics
    assert expression.metrics <= samples.keys()
    known = TARGET_LABELS.union(*(samples[metric] for metric in expression.metrics))
    assert expression.labels <= known


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda each: each.text)
def test_expression_names_only_configured_jobs(expression: Expression) -> None:
    assert {value for label, value in expression.wanted if label == "job"} <= JOBS.keys()


def test_legends_name_labels_of_their_expression() -> None:
    for panel in msgspec.json.decode(DASHBOARD.read_bytes())["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            left = {label for group in grouped for label in group.split(", ")}
            assert shown <= (left or TARGET_LABELS), target["expr"]


def test_every_service_is_scraped_on_its_port() -> None:
    read_at = {
        target
        for job in JOBS.values()
        for each in job.get("static_configs", [])
        for target in each["targets"]
    } | {
        f"{name}:{each['port']}"
        for job in JOBS.values()
        for each in job.get("dns_sd_configs", [])
        for name in each["names"]
    }
    answering = {
        f"{name}:{environment(service).get('EXCHANGE_METRICS_PORT', 8000)}"
        for name, service in services().items()
        if service["image"] == OUR_IMAGE and service["restart"] != "no"
    }
    assert read_at == answering


def test_dashboard_uses_the_provisioned_data_source() -> None:
    provisioned = read(MONITORING / "grafana/provisioning/datasources/prometheus.yml")
    uids = {source["uid"] for source in provisioned["datasources"]}
    panels = msgspec.json.decode(DASHBOARD.read_bytes())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == uids
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_alert_has_a_summary_a_description_and_a_severity() -> None:
    for group in read(ALERTS)["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
            assert rule["labels"]["severity"] in {"page", "warn"}


def test_every_alert_is_tested_to_fire_and_to_stay_silent() -> None:
    tested = [each for test in read(ALERT_TESTS)["tests"] for each in test["alert_rule_test"]]
    fired = {each["alertname"] for each in tested if each.get("exp_alerts")}
    silent = {each["alertname"] for each in tested if not each.get("exp_alerts")}
    alerts = {rule["alert"] for group in read(ALERTS)["groups"] for rule in group["rules"]}
    assert fired == silent == alerts


def promtool(*words: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        [program, *words], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules_fire_as_in_their_unit_tests() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_expressions_are_valid_for_prometheus(tmp_path: Path) -> None:
    rules = [{"record": f"r{n}", "expr": each.text} for n, each in enumerate(EXPRESSIONS)]
    (file := tmp_path / "rules.yml").write_bytes(
        msgspec.yaml.encode({"groups": [{"name": "panels", "rules": rules}]})
    )
    promtool("check", "rules", str(file))


def test_proxy_without_a_service_answers_with_a_documented_problem() -> None:
    caddyfile = (MONITORING.parent / "proxy/Caddyfile").read_text()
    body, status = re.findall(r"respond `(\{.*\})` (\d+)", caddyfile)[0]
    problem = msgspec.json.decode(body, type=Problem)
    kind = PROBLEMS[problem.code]
    assert (problem.status, problem.title, problem.retryable) == (
        kind.status,
        kind.title,
        kind.retryable,
    )
    assert int(status) == kind.status
