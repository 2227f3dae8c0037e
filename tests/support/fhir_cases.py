"""What a token with some scopes may do with one request → cases, and what is wrong with an answer that one got."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwt_guard.messages import Response

from .fhir_parameters import Resource, written

__all__ = ["CASES", "RESOURCES", "ScopeCase", "shown", "wrongs"]

HERE = Path(__file__).parents[1] / "fhir" / "cases"
RESOURCES: list[Resource] = json.loads((HERE / "resources.json").read_text())
"""What the server holds."""


@dataclass(frozen=True, slots=True)
class ScopeCase:
    """A request of a token, and what may come of it."""

    name: str
    scopes: str
    patient: str | None
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    statuses: tuple[int, ...]
    returns: tuple[str, ...]
    """Resources that must be in the answer."""
    hides: tuple[str, ...]
    """Those that must not."""
    keeps: tuple[str, ...]
    """Those that must be there afterwards."""
    is_anonymous: bool
    is_koppeltaal: bool


def _read(case: dict[str, Any]) -> ScopeCase:
    method, _, place = case["ask"].partition(" ")
    path, _, query = place.partition("?")
    headers = {name.lower(): value for name, value in case.get("headers", {}).items()}
    body = written(case["body"]) if "body" in case else b""
    if body:
        headers.setdefault("content-type", "application/fhir+json")
    # Such as a client would send them: a bar and a blank are no characters of a URL.
    query = query.replace("|", "%7C").replace("$", "%24")
    return ScopeCase(
        case["id"],
        case["scopes"],
        case["patient"],
        method,
        path,
        query,
        tuple((name, value) for name, value in headers.items() if value is not None),
        body,
        tuple(case["status"]),
        tuple(case.get("returns", ())),
        tuple(case.get("hides", ())),
        tuple(case.get("keeps", ())),
        "authorization" in headers,
        case.get("koppeltaal", False),
    )


CASES = [_read(case) for case in json.loads((HERE / "smart_scopes.json").read_text())]


def shown(answer: Response) -> set[str]:
    """Return the resources in *answer*, as Type/id: those of entries, of entries of entries, or it itself."""
    return set(_resources(json.loads(answer.body))) if answer.body.startswith(b"{") else set()


def _resources(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "resourceType" in node and "id" in node:
            yield f"{node['resourceType']}/{node['id']}"
        for value in node.values():
            yield from _resources(value)
    elif isinstance(node, list):
        for value in node:
            yield from _resources(value)


def wrongs(case: ScopeCase, answer: Response) -> list[str]:
    """Return what is wrong with *answer* to *case*, but for what the server keeps."""
    found = [] if answer.status in case.statuses else [f"{answer.status} is none of {case.statuses}"]
    there = shown(answer)
    if answer.status < 400:
        found += [f"{name} is missing" for name in case.returns if name not in there]
    found += [f"{name} is there" for name in case.hides if name in there]
    return found
