"""`python -m infra.kubernetes`: write the manifests that follow from our own tables."""

import argparse

from infra.kubernetes.kafka_objects import topics, users
from infra.kubernetes.manifests import FOLDER, Manifest, text

COMMENT = "Written by `python -m infra.kubernetes`."


def generated() -> dict[str, list[Manifest]]:
    """The objects of each file in `base`."""
    return {"kafka-topics.yaml": topics(), "kafka-users.yaml": users()}


def main() -> None:
    argparse.ArgumentParser(prog="python -m infra.kubernetes", description=__doc__).parse_args()
    for name, manifests in generated().items():
        path = FOLDER / "base" / name
        path.write_text(text(manifests, COMMENT))
        print(path)


if __name__ == "__main__":
    main()
