"""A refusal → Django's response: ours, or that of the project's own view, with our status and challenge in any case."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from ..refusing import refuse
from .configured import FAILURE_VIEW, function_of
from .seeing import SeenRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from django.http import HttpRequest

    from ...errors import GuardError
    from ...messages import Response

__all__ = ["Refusal", "arefused", "refused"]

# What a refusal means stands in these, whoever writes its body.
_KEPT = ("www-authenticate", "retry-after", "allow", "cache-control")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the view of JWT_GUARD_FAILURE_VIEW is told: ``view(request, refusal)``."""

    status: int
    detail: str
    """A fixed sentence for the client."""
    id: str
    """Under which the log has the reason."""
    error: GuardError
    """What happened, in full: for programs and logs, not for the client."""


def refused(error: GuardError, request: HttpRequest, realm: str) -> HttpResponseBase:
    """Return the response to *request*, which was refused with *error*."""
    view = function_of(FAILURE_VIEW)
    answer = refuse(error, SeenRequest(request), realm)
    return _ours(answer, request) if view is None else _theirs(view, answer, error, request)


async def arefused(error: GuardError, request: HttpRequest, realm: str) -> HttpResponseBase:
    """Return the same on an event loop, where the project's view may wait for its database in a thread."""
    view = function_of(FAILURE_VIEW)
    answer = refuse(error, SeenRequest(request), realm)
    if view is None:
        return _ours(answer, request)
    return await sync_to_async(_theirs)(view, answer, error, request)


def _ours(answer: Response, request: HttpRequest) -> HttpResponse:
    body = b"" if request.method == "HEAD" else answer.body
    return HttpResponse(body, status=answer.status, headers={name.title(): value for name, value in answer.headers})


def _theirs(view: Callable[..., Any], answer: Response, error: GuardError, request: HttpRequest) -> HttpResponseBase:
    problem = json.loads(answer.body)
    response = view(request, Refusal(answer.status, problem["detail"], problem["id"], error))
    if not isinstance(response, HttpResponseBase):
        message = f"the view of {FAILURE_VIEW} gave no HttpResponse"
        raise TypeError(message)
    response.status_code = answer.status
    for name, value in answer.headers:
        if name in _KEPT:
            response.headers[name.title()] = value
    return response
