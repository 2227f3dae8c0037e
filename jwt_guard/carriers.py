"""The places of a request that may hold a token, by name, for users: ``Guard(carriers=[header(), cookie(...)])``."""

from __future__ import annotations

from .access.carriers import Carrier, cookie, form, header, query, websocket_subprotocol

__all__ = ["Carrier", "cookie", "form", "header", "query", "websocket_subprotocol"]
