"""A path of element names → what a resource has there; the text of a reference → the resource that it is to.

Nothing is guessed: where an element on the way is of another shape than FHIR gives it, there is no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ..access.fhir_references import read_reference

if TYPE_CHECKING:
    from ..access.fhir_references import FhirReference

__all__ = ["Path", "read_path", "referent", "values_at"]

Path: TypeAlias = tuple[tuple[str, bool], ...]
"""The names of elements as they are in JSON, from the resource inwards, and whether each is an array there."""


def read_path(text: str) -> Path:
    """Return the path that *text* is: ``performer*.actor``, a star being after each name that is an array."""
    return tuple((name.removesuffix("*"), name.endswith("*")) for name in text.split("."))


def values_at(resource: dict[str, Any], path: Path) -> list[Any] | None:
    """Return what is at the end of *path*, whatever it is; None where something before it is not what it must be."""
    nodes: list[Any] = [resource]
    for name, is_array in path:
        found: list[Any] = []
        for node in nodes:
            if not isinstance(node, dict):
                return None
            if name not in node:
                continue
            value = node[name]
            if not is_array:
                found.append(value)
            elif isinstance(value, list):
                found += value
            else:
                return None
        nodes = found
    return nodes


def referent(text: str) -> FhirReference | None:
    """Return the resource that *text* names, itself or a version of it; None for all that is no RESTful reference."""
    text, names_version, version = text.partition("/_history/")
    return None if names_version and read_reference(f"Basic/{version}") is None else read_reference(text)
