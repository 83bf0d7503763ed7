"""Requirements of the manifests beyond the schemas. Needs neither a cluster nor a network."""

import re

import pytest

from infra.kubernetes.__main__ import COMMENT, generated
from infra.kubernetes.kafka_objects import CLUSTER, TOPOLOGY
from infra.kubernetes.manifests import FOLDER, Manifest, read, text
from schemas.roles import ROLE
from services.runtime.settings import PREFIX, parse_partitions, read_settings
from tests.infra.kubernetes.objects import (
    FILES,
    KUSTOMIZATIONS,
    containers,
    objects,
    pod,
    secret_keys,
    settings_file,
    workloads,
)

WORKLOADS = workloads()
every_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
every_matcher = pytest.mark.parametrize("name", ["matcher", "matcher-standby"])


def test_workloads_cover_every_service() -> None:
    assert WORKLOADS.keys() == {"gateway", "matcher", "matcher-standby", "sink", "webhooks"}


def test_kustomizations_list_every_file_of_their_folder() -> None:
    for path in KUSTOMIZATIONS:
        (kustomization,) = read(path)
        present = {each.name for each in FILES if each.parent == path.parent}
        files = {name for name in kustomization["resources"] if name.endswith(".yaml")}
        assert files == present


@pytest.mark.parametrize("name", generated())
def test_generated_file_is_up_to_date(name: str) -> None:
    written = (FOLDER / "base" / name).read_text()
    assert written == text(generated()[name], COMMENT), "run: python -m infra.kubernetes"


@every_matcher
def test_matchers_have_one_partition_each_and_cover_all(name: str) -> None:
    workload = WORKLOADS[name]
    (container,) = containers(workload)
    (partition,) = (each for each in container["env"] if each["name"] == "PARTITION")
    index = "metadata.labels['apps.kubernetes.io/pod-index']"
    assert partition["valueFrom"] == {"fieldRef": {"fieldPath": index}}
    replicas = workload["spec"]["replicas"]
    # Kubernetes substitutes the variable in each pod's arguments.
    arguments = [
        [each.replace("$(PARTITION)", str(ordinal)) for each in container["args"]]
        for ordinal in range(replicas)
    ]
    flags = ["--standby"] if name == "matcher-standby" else []
    assert {tuple(each[:1] + each[2:]) for each in arguments} == {("--partitions", *flags)}
    chosen = [parse_partitions(each[1], TOPOLOGY.partitions) for each in arguments]
    assert chosen == [[partition] for partition in range(TOPOLOGY.partitions)]


@every_workload
def test_settings_of_a_workload_are_valid_and_match_its_role(
    workload: Manifest,
) -> None:
    (container,) = containers(workload)
    own = [each for each in container["env"] if each["name"].startswith(PREFIX)]
    settings = read_settings(
        settings_file() | {each["name"]: each.get("value", "a separate secret") for each in own}
    )
    role = ROLE[container["command"][2].removeprefix("services.")]
    assert settings.kafka_user == (role.name if role.kafka else "")
    assert bool(settings.kafka_password) == bool(role.kafka)
    assert bool(settings.database_url) == bool(role.postgres)
    assert bool(settings.admin_key) == (role.name == "gateway")
    assert secret_keys(container).items() <= {
        ("EXCHANGE_KAFKA_PASSWORD", (role.name, "password")),
        ("EXCHANGE_DATABASE_URL", ("database", role.name)),
        ("EXCHANGE_ADMIN_KEY", ("admin-key", "key")),
    }


@every_workload
def test_pod_with_a_kafka_user_mounts_the_ca_certificate(workload: Manifest) -> None:
    (container,) = containers(workload)
    volumes = pod(workload)["spec"].get("volumes", [])
    if "EXCHANGE_KAFKA_PASSWORD" not in secret_keys(container):
        assert volumes == []
        return
    ((volume,), (mount,)) = (volumes, container["volumeMounts"])
    assert volume["name"] == mount["name"]
    assert volume["secret"]["secretName"] == f"{CLUSTER}-cluster-ca-cert"
    (item,) = volume["secret"]["items"]
    assert f"{mount['mountPath']}/{item['path']}" == settings_file()["EXCHANGE_KAFKA_CA"]


def test_settings_name_the_listener_of_strimzi() -> None:
    (kafka,) = objects("Kafka")
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    assert kafka["metadata"]["name"] == CLUSTER
    assert settings_file()["EXCHANGE_KAFKA"] == f"{CLUSTER}-kafka-bootstrap:{listener['port']}"
    assert listener["tls"] is True
    assert listener["authentication"] == {"type": "scram-sha-512"}


def test_replication_of_kafka_matches_its_topics() -> None:
    (pool,), (kafka,) = objects("KafkaNodePool"), objects("Kafka")
    config = kafka["spec"]["kafka"]["config"]
    assert pool["spec"]["replicas"] == config["default.replication.factor"]
    for topic in objects("KafkaTopic"):
        assert topic["spec"]["replicas"] == pool["spec"]["replicas"]
        assert topic["spec"]["config"]["min.insync.replicas"] == str(config["min.insync.replicas"])
    assert config["auto.create.topics.enable"] is False


def test_names_of_services_do_not_begin_like_settings() -> None:
    names = [each["metadata"]["name"] for each in objects("Service", "Kafka")]
    prefix = PREFIX.lower().replace("_", "-")
    assert [name for name in names if f"{name}-".startswith(prefix)] == []


def test_fields_that_the_schemas_leave_open_have_known_values() -> None:
    known = {
        "pathType": {"Prefix", "Exact", "ImplementationSpecific"},
        "podManagementPolicy": {"Parallel", "OrderedReady"},
        "policyTypes": {"Ingress", "Egress"},
        "protocol": {"TCP", "UDP", "SCTP"},
        "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    }
    found: dict[str, set[str]] = {}

    def look(at: object) -> None:
        for key, value in at.items() if isinstance(at, dict) else ():
            if key in known:
                found.setdefault(key, set()).update(value if isinstance(value, list) else [value])
            look(value)
        for each in at if isinstance(at, list) else ():
            look(each)

    look(objects())
    assert found.keys() == known.keys()
    assert {key: words - known[key] for key, words in found.items() if words - known[key]} == {}


@every_workload
def test_pod_has_no_unneeded_privileges(workload: Manifest) -> None:
    spec = pod(workload)["spec"]
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert container["image"] == "exchange"


@every_workload
def test_pod_has_probes_of_liveness_and_readiness(workload: Manifest) -> None:
    (container,) = containers(workload)
    port, *others = container["ports"]
    for probe, path in {"livenessProbe": "/livez", "readinessProbe": "/readyz"}.items():
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    wanted = "8000" if port["name"] == "http" else settings_file()["EXCHANGE_METRICS_PORT"]
    assert str(port["containerPort"]) == wanted
    (metrics,) = [each for each in (port, *others) if each["name"] == "metrics"]
    assert str(metrics["containerPort"]) == settings_file()["EXCHANGE_METRICS_PORT"]
    annotations = pod(workload)["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == settings_file()["EXCHANGE_METRICS_PORT"]


@every_workload
def test_pod_reaches_exactly_the_servers_whose_secrets_it_has(workload: Manifest) -> None:
    (container,) = containers(workload)
    secrets = secret_keys(container)
    labels = pod(workload)["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "exchange"
    assert ("EXCHANGE_KAFKA_PASSWORD" in secrets) == (labels.get("reaches-kafka") == "true")
    assert ("EXCHANGE_DATABASE_URL" in secrets) == (labels.get("reaches-postgres") == "true")
    assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_sink_and_webhooks_have_one_replica() -> None:
    for name in ("sink", "webhooks"):
        assert WORKLOADS[name]["spec"]["replicas"] == 1
        assert WORKLOADS[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_readme_creates_every_secret_that_strimzi_does_not() -> None:
    used = {
        reference
        for workload in WORKLOADS.values()
        for container in containers(workload)
        for reference in secret_keys(container).values()
    }
    users = {user["metadata"]["name"] for user in objects("KafkaUser")}
    readme = (FOLDER / "README.md").read_text()
    documented = {
        (secret, key)
        for secret, arguments in re.findall(r"secret generic (\S+)((?: \\\n|[^\n])+)", readme)
        for key in re.findall(r"--from-literal=(\w+)=", arguments)
    }
    assert documented == {(secret, key) for secret, key in used if secret not in users}
    assert {key for secret, key in used if secret in users} == {"password"}
