"""Finds the resource of a path. Pure: exact segments through dicts, without pattern matching."""

from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")
# Key of the child node that matches any one segment.
_ANY = "{}"


class Resource(Generic[T]):
    """One path template with an entry for each method."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.methods: dict[str, T] = {}
        self.names = tuple(
            segment[1:-1] for segment in template.split("/") if segment.startswith("{")
        )

    @property
    def allow(self) -> str:
        """The Allow header: HEAD wherever there is GET, OPTIONS everywhere."""
        allowed = {"OPTIONS", *self.methods}
        if "GET" in allowed:
            allowed.add("HEAD")
        return ", ".join(sorted(allowed))


class _Node(Generic[T]):
    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.resource: Resource[T] | None = None


class RoutingTable(Generic[T]):
    """The table of all paths. A fixed segment takes precedence over a parameter."""

    def __init__(self) -> None:
        self._fixed: dict[str, Resource[T]] = {}
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: str, entry: T) -> None:
        """Add an entry. Raises ValueError if the method and path have one already."""
        resource = self._resource(path)
        if method in resource.methods:
            raise ValueError(f"{method} {path} is there twice")
        resource.methods[method] = entry

    def _resource(self, path: str) -> Resource[T]:
        if "{" not in path:
            return self._fixed.setdefault(path, Resource(path))
        node = self._root
        for segment in path.split("/"):
            key = _ANY if segment.startswith("{") else segment
            node = node.children.setdefault(key, _Node())
        if node.resource is None:
            node.resource = Resource(path)
        return node.resource

    def find(self, raw_path: str) -> tuple[Resource[T] | None, dict[str, str]]:
        """The resource of a percent-encoded path, and its decoded parameters.

        Segments are split before they are decoded, so an encoded slash stays inside its segment.
        """
        fixed = self._fixed.get(raw_path)
        if fixed is not None:
            return fixed, {}
        node = self._root
        values: list[str] = []
        for segment in raw_path.split("/"):
            child = node.children.get(segment)
            if child is None:
                child = node.children.get(_ANY) if segment else None
                if child is None:
                    return None, {}
                values.append(unquote(segment) if "%" in segment else segment)
            node = child
        if node.resource is None:
            return None, {}
        return node.resource, dict(zip(node.resource.names, values, strict=True))
