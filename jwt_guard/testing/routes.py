"""An application → its routes, with something in the place of each parameter: what there is to attack.

Only what Starlette, FastAPI, Flask, Quart and Django tell of themselves; of others, routes are named one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Route", "routes_of"]

_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_GROUP = re.compile(r"\((?:\?P<\w+>)?[^()]*\)")
_FORM = re.compile(r"(?:([A-Za-z]+) )?(/\S*)")
_WEBSOCKET = "WEBSOCKET"
_BESIDE = frozenset({"HEAD", "OPTIONS", "TRACE"})
"""Methods that frameworks add by themselves; each attack tries them anyhow."""
_MOST_LAYERS = 32


@dataclass(frozen=True, slots=True)
class Route:
    """A route to attack."""

    method: str
    pattern: str
    """The path as the application writes it."""

    @classmethod
    def of(cls, text: str) -> Route:
        """Return the route that *text* names, a path or a method and a path; ValueError where it is neither."""
        found = _FORM.fullmatch(text)
        if found is None:
            message = f"a route is a path, or a method and a path, not {text!r}"
            raise ValueError(message)
        return cls((found[1] or "GET").upper(), found[2])

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"

    @property
    def is_websocket(self) -> bool:
        """Whether it is for websockets."""
        return self.method == _WEBSOCKET

    @property
    def target(self) -> str:
        """The path with ``1`` for each parameter."""
        return _PARAMETER.sub("1", self.pattern)


def routes_of(app: Any) -> list[Route]:  # noqa: ANN401 - an application of any framework
    """Return the routes of *app*, or of what middleware is around; none where it does not tell."""
    for _ in range(_MOST_LAYERS):
        read = _reader(app)
        if read is not None:
            return list(dict.fromkeys(read(app)))
        inner = getattr(app, "app", None)
        if inner is None or inner is app:
            break
        app = inner
    return []


def _reader(app: Any) -> Callable[[Any], Iterator[Route]] | None:  # noqa: ANN401 - as above
    if hasattr(app, "url_map"):
        return _of_flask
    if type(app).__module__.startswith("django."):
        return _of_django
    if isinstance(getattr(app, "routes", None), list):
        return lambda app: _of_starlette(app.routes, "")
    return None


def _of_flask(app: Any) -> Iterator[Route]:  # noqa: ANN401 - Flask or Quart
    for rule in app.url_map.iter_rules():
        if getattr(rule, "websocket", False):
            yield Route(_WEBSOCKET, rule.rule)
            continue
        for method in sorted((rule.methods or {"GET"}) - _BESIDE):
            yield Route(method, rule.rule)


def _of_starlette(routes: Any, prefix: str) -> Iterator[Route]:  # noqa: ANN401 - its own types
    for route in routes:
        path = f"{prefix}{getattr(route, 'path', '')}"
        inner = getattr(route, "routes", None)
        if inner:
            yield from _of_starlette(inner, path)
        elif hasattr(route, "methods"):
            for method in sorted((route.methods or {"GET"}) - _BESIDE):
                yield Route(method, path)
        elif "WebSocket" in type(route).__name__:
            yield Route(_WEBSOCKET, path)


def _of_django(_app: object) -> Iterator[Route]:
    from django.urls import get_resolver

    yield from (Route("GET", f"/{pattern}") for pattern in _patterns(get_resolver().url_patterns, ""))


def _patterns(patterns: Any, prefix: str) -> Iterator[str]:  # noqa: ANN401 - its own types
    for each in patterns:
        text = _GROUP.sub("{x}", str(each.pattern)).replace("^", "").replace("$", "").replace("\\Z", "")
        inner = getattr(each, "url_patterns", None)
        if inner is None:
            yield prefix + text.lstrip("/" if not prefix else "")
        else:
            yield from _patterns(inner, prefix + text)
