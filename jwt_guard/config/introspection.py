"""The keys of [providers.NAME] that begin with introspection_ or client_ → who is asked about tokens, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..issuing.assertion import assertions
from ..issuing.loading import load_signing_key
from ..sources.address import why_not
from ..sources.introspection import introspection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..sources.introspection import Introspection
    from ..sources.jwks import KeySettings
    from .values import Table

__all__ = ["INTROSPECTION", "read_introspection"]

_URL = "introspection_url"
_FLAGS = {
    "introspection_opaque": "opaque",
    "introspection_jwts": "jwts",
    "introspection_aud_may_be_missing": "aud_may_be_missing",
    "introspection_token_type_may_be_missing": "token_type_may_be_missing",
}
_SECONDS = {"introspection_kept_for": "kept_for", "introspection_refused_for": "refused_for"}
_CLIENT = ("client_id", "client_secret", "client_key_file", "client_assertion_audience")
INTROSPECTION = (_URL, *_CLIENT, *_FLAGS, *_SECONDS)
"""All of them."""


def read_introspection(table: Table, settings: KeySettings) -> Introspection | None:
    """Return what asks the issuer of *table* about tokens, None where it is not asked; raises WrongConfig."""
    if not table.has(_URL):
        for key in INTROSPECTION:
            if table.has(key):
                raise table.wrong(key, f"that is for {_URL}, which is not there")
        return None
    url, client_id = table.text(_URL) or "", table.text("client_id")
    reason = why_not(url, settings.plain_http_hosts)
    if reason is not None:
        raise table.wrong(_URL, f"the URL cannot be asked: {reason}")
    if not client_id:
        raise table.wrong("client_id", "it is required: who this API is at its issuer")
    more: dict[str, Any] = {name: table.flag(key) for key, name in _FLAGS.items()}
    more |= {name: table.seconds(key) for key, name in _SECONDS.items()}
    more |= {"client_secret": table.text("client_secret"), "assertion": _assertion(table, client_id, url)}
    try:
        given = {name: value for name, value in more.items() if value is not None}
        return introspection(url, client_id=client_id, settings=settings, **given)
    except Misconfigured as error:
        raise table.wrong("", str(error)) from None


def _assertion(table: Table, client_id: str, url: str) -> Callable[[], str] | None:
    """Return what makes the assertions of a client with a key, and see that it has one of key and secret."""
    if table.has("client_key_file") == table.has("client_secret"):
        raise table.wrong("client_secret", "who asks is shown by this or by client_key_file, one of them")
    if not table.has("client_key_file"):
        if table.has("client_assertion_audience"):
            raise table.wrong("client_assertion_audience", "that is for client_key_file")
        return None
    audience = table.text("client_assertion_audience")
    try:
        key = load_signing_key(table.path("client_key_file"))
        return assertions(key, client_id, url if audience is None else audience)
    except Misconfigured as error:
        raise table.wrong("client_key_file", str(error)) from None
