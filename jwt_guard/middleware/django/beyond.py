"""A guard that looks beyond the header → what Django's door does for it: serves metadata, keeps an answer private."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse

from ..carrying import is_plain, private
from .seeing import SeenRequest

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from ...access.guard import Guard

__all__ = ["answered", "finished"]


def answered(guard: Guard, request: HttpRequest) -> HttpResponse | None:
    """Return the metadata of the guard's resource where *request* asks for them (RFC 9728 §3), whoever asks."""
    if guard.resource is None:
        return None
    answer = guard.answer(SeenRequest(request), request.META.get("SCRIPT_NAME", ""))
    if answer is None:
        return None
    body = b"" if request.method == "HEAD" else answer.body
    return HttpResponse(body, status=answer.status, headers={name.title(): value for name, value in answer.headers})


def finished(guard: Guard, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return *response*, which nobody shares if the token was in the query (RFC 6750 §2.3)."""
    if is_plain(guard) or not 200 <= response.status_code < 300:  # noqa: PLR2004 - RFC 9110 §15.3
        return response
    if guard.carried.is_in_query(SeenRequest(request)):
        said = private([response.headers["Cache-Control"]] if response.has_header("Cache-Control") else [])
        if said is not None:
            response.headers["Cache-Control"] = said
    return response
