"""Credentials → the headers that tell an upstream who is asking, and which names nobody else may say it by.

Servers hand headers on as variables, and make one of several names: ``X-Auth-User``, ``x_auth_user`` and
``X.Auth.User`` are one to some of them.  So every name that any of them could take for ours is dropped first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from ..errors import Misconfigured, shown

if TYPE_CHECKING:
    from ..credentials import Credentials

__all__ = ["IdentityHeaders", "encoded"]

T = TypeVar("T", str, bytes)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_WHAT = ("user", "client", "scopes", "provider")
_ONE_TO_SOME = re.compile(r"[^a-z0-9]")
_SAY_SOMETHING_ELSE = re.compile(
    r"accept|authorization|connection|content-.*|cookie|expect|forwarded|host|keep-alive|origin|proxy-.*|range|referer"
    r"|te|trailer|transfer-encoding|upgrade|user-agent|via|x-forwarded-.*|x-original-.*"
)
# Visible ASCII but for what says that something is encoded; a blank separates scopes.
_AS_IT_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """What the upstream is told, by header; None: it is not told.  Raises Misconfigured."""

    user: str | None = None
    client: str | None = None
    scopes: str | None = None
    provider: str | None = None
    _forms: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check that no two names could be one, and that none means something else to everybody."""
        names = self.names
        for name in names:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise Misconfigured(f"identity headers: {shown(name)} is no name: letters, digits and dashes")
            if _SAY_SOMETHING_ELSE.fullmatch(name.lower()):
                raise Misconfigured(f"identity headers: {shown(name)} says something else to everybody")
        forms = frozenset(map(_form, names))
        if len(forms) < len(names):
            raise Misconfigured("identity headers: two of the names are one to some servers")
        object.__setattr__(self, "_forms", forms)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is set."""
        return tuple(name for what in _WHAT if (name := getattr(self, what)) is not None)

    def is_alias(self, name: str) -> bool:
        """Say whether some server could take *name* for one of ours."""
        return bool(self._forms) and _form(name) in self._forms

    def without_aliases(self, headers: Iterable[tuple[T, T]]) -> list[tuple[T, T]]:
        """Return *headers* without any that a server could take for one of ours."""
        return [
            (name, value)
            for name, value in headers
            if not self.is_alias(name if isinstance(name, str) else name.decode("latin-1"))
        ]

    def headers(self, credentials: Credentials | None) -> tuple[tuple[str, str], ...]:
        """Return what the upstream is told of *credentials*: every name, empty where there is nothing to say.

        An empty header takes away what a client has sent under its name.  Values are percent-encoded where they are
        not visible ASCII; scopes are sorted, with blanks between them.
        """
        said = {} if credentials is None else _said(credentials)
        return tuple((name, said.get(what, "")) for what in _WHAT if (name := getattr(self, what)) is not None)


def encoded(text: str) -> str:
    """Return *text* as a header value that only *text* has (RFC 3986 §2.1, in UTF-8)."""
    if text.isascii() and text.isprintable() and " " not in text and "%" not in text:
        return text  # nearly always, and much sooner
    return quote(text, safe=_AS_IT_IS, errors="surrogatepass")


def _said(credentials: Credentials) -> dict[str, str]:
    return {
        "user": encoded(credentials.user or ""),
        "client": encoded(credentials.client or ""),
        "scopes": " ".join(map(encoded, sorted(credentials.scopes))),
        "provider": encoded(credentials.provider),
    }


def _form(name: str) -> str:
    return _ONE_TO_SOME.sub("-", name.lower())
