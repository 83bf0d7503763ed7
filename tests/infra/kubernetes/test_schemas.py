"""The Kubernetes and Strimzi schemas accept every manifest and refuse incorrect ones."""

import copy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.kafka_jars import default_cache_dir
from infra.kubernetes.manifests import FOLDER, Manifest, parse, read
from tests.infra.kubernetes.objects import FILES, containers, named, objects
from tests.infra.kubernetes.schemas import Schemas, UnknownKindError

# The first run on a machine downloads the schemas.
pytestmark = pytest.mark.timeout(600)
KUBECTL = shutil.which("kubectl")
# Used instead of a value: the field is removed.
MISSING = object()
CONTAINER = "spec.template.spec.containers.0"


@pytest.fixture(scope="module")
def schemas() -> Iterator[Schemas]:
    """Schemas, downloaded by a machine's first run; without the registry, the tests fail."""
    known = Schemas(default_cache_dir())
    yield known
    known.close()


def invalid(kind: str, path: str, value: object) -> Manifest:
    """The first object of a kind, with the field at `path` replaced by `value`."""
    manifest = copy.deepcopy(objects(kind)[0])
    *parents, last = path.split(".")
    at: Any = manifest
    for key in parents:
        at = at[int(key) if isinstance(at, list) else key]
    if value is MISSING:
        del at[last]
    else:
        at[last] = value
    return manifest


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_object_of_a_file_is_valid(schemas: Schemas, path: Path) -> None:
    faults = {each["metadata"]["name"]: schemas.faults(each) for each in read(path)}
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", f"{CONTAINER}.livenessprobe", {}),
        ("Deployment", f"{CONTAINER}.securityContext.capabilities.dropped", ["ALL"]),
        ("Deployment", f"{CONTAINER}.ports.0.containerPort", "http"),
        ("Deployment", "spec.selector", MISSING),
        ("StatefulSet", "spec.replicas", "four"),
        ("StatefulSet", f"{CONTAINER}.args", "--partitions 0"),
        ("NetworkPolicy", "spec.egress.0.ports.0.protocols", "UDP"),
        ("PodDisruptionBudget", "spec.minAvailable", [1]),
        ("Ingress", "spec.rules.0.http.paths.0.pathType", MISSING),
        ("Kafka", "spec.kafka.replicas", 3),
        ("Kafka", "spec.kafka.listeners.0.type", "inside"),
        ("Kafka", "spec.kafka.listeners.0.port", "tls"),
        ("Kafka", "spec.kafka.authorization.type", "strict"),
        ("KafkaNodePool", "spec.roles", ["captain"]),
        ("KafkaNodePool", "spec.storage.volumes.0.deleteClaims", False),
        ("KafkaNodePool", "spec.replicas", MISSING),
        ("KafkaTopic", "spec.partitions", "4"),
        ("KafkaUser", "spec.authorization.acls.0.operations", ["Look"]),
        ("KafkaUser", "spec.authentication.type", "password"),
    ],
)
def test_invalid_object_is_refused_at_the_invalid_field(
    schemas: Schemas, kind: str, path: str, value: object
) -> None:
    faults = schemas.faults(invalid(kind, path, value))
    assert any(path.rpartition(".")[0] in fault for fault in faults), faults


@pytest.mark.parametrize("api", ["kafka.strimzi.io/v1beta2", "apps/v1beta1", "unheard.of/v1"])
def test_object_of_a_removed_api_is_unknown(schemas: Schemas, api: str) -> None:
    kind = "Kafka" if "strimzi" in api else "Deployment"
    with pytest.raises(UnknownKindError):
        schemas.faults(invalid(kind, "apiVersion", api))


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here to render the example with")
def test_rendered_example_is_valid_with_one_image_and_its_settings(
    schemas: Schemas,
) -> None:
    example = FOLDER / "overlays" / "example"
    rendered = parse(subprocess.check_output([str(KUBECTL), "kustomize", example], text=True))
    assert [fault for each in rendered for fault in schemas.faults(each)] == []
    (settings,) = (each for each in rendered if each["kind"] == "ConfigMap")
    assert settings["data"]["EXCHANGE_FAILED_KEYS"] == "0"
    ran = [
        container
        for each in rendered
        if each["kind"] in {"Deployment", "StatefulSet"}
        for container in containers(each)
    ]
    assert {container["image"] for container in ran} == {"images.example.com/exchange:0.1.0"}
    sources = [source for container in ran for source in container.get("envFrom", [])]
    assert sources
    assert {each["configMapRef"]["name"] for each in sources} == {settings["metadata"]["name"]}
