"""Access to the Kubernetes manifests for the tests."""

from pathlib import Path

from infra.kubernetes.manifests import FOLDER, Manifest, read

KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(KUSTOMIZATIONS))


def objects(*kinds: str) -> list[Manifest]:
    """Objects of all manifest files, limited to the given kinds if there are any."""
    every = [manifest for path in FILES for manifest in read(path)]
    return [manifest for manifest in every if not kinds or manifest["kind"] in kinds]


def workloads() -> dict[str, Manifest]:
    """Deployments and stateful sets, by name: they run the exchange's image."""
    return {each["metadata"]["name"]: each for each in objects("Deployment", "StatefulSet")}


def pod(workload: Manifest) -> Manifest:
    """Pod template of a workload: metadata and spec."""
    template: Manifest = workload["spec"]["template"]
    return template


def containers(workload: Manifest) -> list[Manifest]:
    """All containers of a workload's pod."""
    found: list[Manifest] = pod(workload)["spec"]["containers"]
    return found


def settings_file() -> dict[str, str]:
    """Settings that every container reads from the generated ConfigMap."""
    lines = (FOLDER / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secret_keys(container: Manifest) -> dict[str, tuple[str, str]]:
    """Secret references: environment variable to the secret's name and the key in it."""
    found = {}
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference is not None:
            found[variable["name"]] = (reference["name"], reference["key"])
    return found


def named(path: Path) -> str:
    """Path relative to the manifests' folder, used as the id of a parametrised test."""
    return str(path.relative_to(FOLDER))
