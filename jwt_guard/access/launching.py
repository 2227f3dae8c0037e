"""The form that a browser brings from a portal → Launch: where its token stands, and what the guard says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..credentials import Credentials
from ..errors import (
    ContentTooLarge,
    InvalidToken,
    MalformedRequest,
    MethodNotAllowed,
    Misconfigured,
    UnknownIssuer,
)
from ..sources.address import why_not
from ..tokens.bearer import bare_token
from ..tokens.compact import parse
from .carriers import FORM_LIMIT
from .guard import Guard
from .hti import is_of_launches, read_launch

if TYPE_CHECKING:
    from ..flow import Flow
    from ..tokens.compact import UnverifiedToken
    from .hti import Launch
    from .provider import Provider

__all__ = ["Launches", "provider_of"]

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100
_DOTS_OF_JWE = 4


@dataclass(frozen=True)
class Launches:
    """Whose launches a module takes: share one between threads, loops and frameworks.  Raises Misconfigured."""

    guard: Guard
    """Its providers are made by ``hti_launch``, those of its resolver, too."""
    fhir_base: str | Sequence[str] = ()
    """Where the field ``launch`` is taken, too: the exact ``iss`` beside it, the URL of the FHIR server."""
    _bases: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a guard that takes other tokens, since those would launch something as well."""
        if not isinstance(self.guard, Guard):
            raise Misconfigured("launches: guard is Guard(...)")
        if not all(map(is_of_launches, self.guard.providers)):
            raise Misconfigured("launches: each provider of the guard is made by hti_launch()")
        bases = (self.fhir_base,) if isinstance(self.fhir_base, str) else self.fhir_base
        if not isinstance(bases, Sequence) or not all(
            isinstance(base, str) and why_not(base) is None for base in bases
        ):
            raise Misconfigured("launches: fhir_base is the URL of a FHIR server, or a list of such")
        object.__setattr__(self, "_bases", frozenset(bases))

    def receive(self, method: str, content_type: str | None, body: bytes) -> Flow[Launch]:
        """Return what the request of this *method*, ``Content-Type`` and *body* launches.

        The token stands in the field ``token`` (HTI), or in ``launch`` beside ``iss`` (SMART HTI on FHIR).  A GET is
        refused: what is in a URL is logged and kept.  Raises a GuardError.
        """
        if method != "POST":
            raise MethodNotAllowed(frozenset({"POST"}))
        text = self._token(_fields(content_type, body))
        if text.count(".") == _DOTS_OF_JWE:
            raise InvalidToken("the token is encrypted (HTI:jwe), which is not taken here")
        text = bare_token(text, self.guard.limits.token)
        if self.guard.resolver is not None:
            provider = yield from provider_of(self.guard, parse(text, self.guard.limits))
            if not is_of_launches(provider):
                raise InvalidToken("its provider is not one of launches")
        answer = self.guard.admit(text)
        credentials = answer if isinstance(answer, Credentials) else (yield from answer)
        return read_launch(credentials.claims, sub_may_be_any_text=True)  # its provider's rules have looked at it

    def _token(self, fields: dict[str, str]) -> str:
        if bool(fields.get("token")) == bool(fields.get("launch")):
            raise MalformedRequest("a launch is one field, either token, or launch with iss beside it")
        if fields.get("token"):
            if len(fields) > 1:
                raise MalformedRequest("nothing stands beside token")
            return fields["token"]
        if "token" in fields:
            raise MalformedRequest("nothing but iss stands beside launch")
        if fields.get("iss") not in self._bases:
            raise MalformedRequest("a launch of a FHIR server that is not one of ours, or of none")
        return fields["launch"]


def _fields(content_type: str | None, body: bytes) -> dict[str, str]:
    """Return those of the fields that matter here; MalformedRequest where one of them is there twice."""
    if (content_type or "").partition(";")[0].strip(" \t").lower() != _FORM:
        raise MalformedRequest(f"a launch is a form: {_FORM}")
    if len(body) > FORM_LIMIT:
        raise ContentTooLarge(f"a form of more than {FORM_LIMIT} octets")
    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise MalformedRequest(f"a form of more than {_MOST_FIELDS} fields") from None
    found = [(name, value) for name, value in pairs if name in ("token", "launch", "iss")]
    fields = dict(found)
    if len(fields) < len(found):
        raise MalformedRequest("a field twice")
    return fields


def provider_of(guard: Guard, token: UnverifiedToken) -> Flow[Provider]:
    """Return the provider that *guard* has for *token*, its resolver's included; raises a GuardError."""
    try:
        return guard.provider_for(token)
    except UnknownIssuer:
        if guard.resolver is None:
            raise
    return (yield from guard.resolver.provider_for(token.issuer))
