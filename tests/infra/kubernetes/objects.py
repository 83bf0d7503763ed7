"""The manifests as tests look at them."""

from pathlib import Path

from infra.kubernetes.manifests import FOLDER, Manifest, read

KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(KUSTOMIZATIONS))


def objects(*kinds: str) -> list[Manifest]:
    """Those of every file, of these kinds; of all when none is named."""
    every = [manifest for path in FILES for manifest in read(path)]
    return [manifest for manifest in every if not kinds or manifest["kind"] in kinds]


def workloads() -> dict[str, Manifest]:
    """What runs our image, by name."""
    return {each["metadata"]["name"]: each for each in objects("Deployment", "StatefulSet")}


def pod(workload: Manifest) -> Manifest:
    """The pod template: metadata and spec."""
    template: Manifest = workload["spec"]["template"]
    return template


def containers(workload: Manifest) -> list[Manifest]:
    """Every one of its pod."""
    found: list[Manifest] = pod(workload)["spec"]["containers"]
    return found


def settings_file() -> dict[str, str]:
    """What every container takes from the generated ConfigMap."""
    lines = (FOLDER / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secret_keys(container: Manifest) -> dict[str, tuple[str, str]]:
    """Variable to the secret and the key in it."""
    found = {}
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference is not None:
            found[variable["name"]] = (reference["name"], reference["key"])
    return found


def named(path: Path) -> str:
    """For the ids of parametrised tests."""
    return str(path.relative_to(FOLDER))
