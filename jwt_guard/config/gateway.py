"""``[gateway]`` of guard.toml → how the gateway listens, whom it believes and what it tells the upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..gateway.identity import IdentityHeaders
from ..gateway.settings import Settings

if TYPE_CHECKING:
    from .values import Table

__all__ = ["read_gateway"]

_TEXTS = ("listen", "grpc_listen", "admin_listen", "forwarded", "upstream")
_IDENTITY = ("user", "client", "scopes", "provider")


def read_gateway(root: Table) -> Settings:
    """Return the settings in ``[gateway]`` of *root*, those that are usual where it has none.  Raises Misconfigured."""
    table = root.table("gateway")
    if table is None:
        return Settings()
    table.only((*_TEXTS, "trusted_proxies", "identity_headers", "answer_within"))
    given: dict[str, Any] = {name: table.text(name) for name in _TEXTS if table.has(name)}
    if table.has("trusted_proxies"):
        given["trusted_proxies"] = table.list_of_texts("trusted_proxies")
    seconds = table.seconds("answer_within")
    if seconds is not None:
        given["answer_within"] = seconds
    given["identity"] = _identity(table)
    try:
        return Settings(**given)
    except Misconfigured as error:
        key, _, reason = str(error).partition(": ")
        raise table.wrong(key, reason) from None


def _identity(table: Table) -> IdentityHeaders:
    inner = table.table("identity_headers")
    if inner is None:
        return IdentityHeaders()
    inner.only(_IDENTITY)
    try:
        return IdentityHeaders(**{name: inner.text(name) for name in _IDENTITY})
    except Misconfigured as error:
        raise inner.wrong("", str(error).removeprefix("identity headers: ")) from None
