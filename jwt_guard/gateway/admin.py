"""How the gateway is → ``/healthz``, ``/readyz`` and ``/metrics``, for those who mind it: on a listener of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..runners.fetching import fetch_counts

if TYPE_CHECKING:
    from starlette.requests import Request

    from ..access.guard import Guard
    from ..observing.counting import Tally
    from ..sources.key_state import KeyState

__all__ = ["Show", "admin", "is_ready", "prometheus"]

Show: TypeAlias = "Callable[[Guard], tuple[str, bytes]]"
"""Returns the type and the text of the metrics."""
_NO_STORE = {"Cache-Control": "no-store"}


def admin(guard: Callable[[], Guard], show: Show | None = None, *, is_stopping: Callable[[], bool]) -> Starlette:
    """Return the application: *guard* says which one counts now, *show* what there is to measure.

    ``/healthz`` is 200 as long as there is somebody to answer.  ``/readyz`` is 503 where tokens of some provider can
    be verified neither now nor with the next request, and while the gateway stops.
    """

    def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    def readyz(_request: Request) -> Response:
        states = guard().key_states()
        stopping = is_stopping()
        ready = not stopping and all(map(is_ready, states.values()))
        said = {"ready": ready, "stopping": stopping, "providers": {name: _said(each) for name, each in states.items()}}
        return JSONResponse(said, 200 if ready else 503, _NO_STORE)

    def metrics(_request: Request) -> Response:
        if show is None:
            return PlainTextResponse("pip install 'jwt-guard[metrics]'\n", 501, _NO_STORE)
        kind, text = show(guard())
        return Response(text, 200, {**_NO_STORE, "Content-Type": kind})

    # None of them waits, so a thread for each answer would only cost.
    endpoints = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, _at_once(endpoint)) for path, endpoint in endpoints.items()])


def is_ready(state: KeyState) -> bool:
    """Say whether tokens can be verified: now, or since the next request asks for keys."""
    return state.usable or state.next_refresh == 0


def prometheus(total: Callable[[], Tally]) -> Show | None:
    """Return what shows *total* and the keys of a guard to Prometheus; None without the package that it needs."""
    try:
        from ..observing.prometheus import CONTENT_TYPE, exposition
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        return None
    return lambda guard: (CONTENT_TYPE, exposition(total(), guard.key_states(), fetch_counts()))


def _said(state: KeyState) -> Mapping[str, object]:
    # Not last_error: it names addresses, which are for the log.
    return {
        "ready": is_ready(state),
        "usable": state.usable,
        "keys": state.keys,
        "age": state.age,
        "stale": state.stale,
        "failing": state.last_error is not None,
    }


def _at_once(endpoint: Callable[[Request], Response]) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        return endpoint(request)

    return answer
