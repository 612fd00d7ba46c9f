"""The route table: paths with parameters that lead to actions. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

ALL = "all"

Part = tuple[bool, str]
"""Whether it is a parameter, and its name or its text."""


class Routes:
    """`commonWeb.routes`: method in lower case, or "all" -> routes `{path, action}`; the first that fits counts."""

    def __init__(self, table: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        self._table: dict[str, list[tuple[list[Part], str]]] = {}
        for method, routes in table.items():
            self._table[method] = [(_parts(route["path"]), route["action"]) for route in routes]

    def __bool__(self) -> bool:
        return any(self._table.values())

    def __iter__(self) -> Iterator[tuple[str, list[Part], str]]:
        """Method or "all", parts and action of every route."""
        for method, routes in self._table.items():
            for parts, action in routes:
                yield method, parts, action

    def find(self, method: str, names: Sequence[str]) -> tuple[str, dict[str, str]] | None:
        """The action and the parameters for the decoded names of a path."""
        for table in (method.lower(), ALL):
            for parts, action in self._table.get(table, ()):
                params = _match(parts, names)
                if params is not None:
                    return action, params
        return None

    def methods(self, names: Sequence[str]) -> list[str]:
        """The methods for which the path has a route, in upper case; [] for a path without."""
        return [
            method.upper()
            for method, routes in self._table.items()
            if any(_match(parts, names) is not None for parts, _ in routes)
        ]


def _parts(path: str) -> list[Part]:
    return [(part.startswith(":"), part.removeprefix(":")) for part in path.strip("/").split("/")]


def _match(parts: list[Part], names: Sequence[str]) -> dict[str, str] | None:
    if len(parts) != len(names):
        return None
    params = {}
    for (is_parameter, part), name in zip(parts, names, strict=True):
        if is_parameter and name:
            params[part] = name
        elif is_parameter or part != name:
            return None
    return params
