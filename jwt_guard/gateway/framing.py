"""Octets on a connection → requests that end in one place only: uvicorn, with what httptools lets through refused.

httptools refuses two lengths, a length beside chunks, and chunks that are none.  uvicorn on it takes trailers for
headers, though, and the path out of any target.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["StrictProtocol", "server_options"]


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools, a little stricter."""

    def on_headers_complete(self) -> None:
        """Refuse a target that is no path: another host in it, or a fragment, is not what would be judged."""
        if not self.url.startswith(b"/") or b"#" in self.url:
            message = "the target is no path"
            raise ValueError(message)  # which the parser makes an error of its own of, and uvicorn a 400
        super().on_headers_complete()
        self.headers = self.headers.copy()  # what follows the body is no header of this scope (RFC 9110 §6.5.1)


def server_options() -> dict[str, Any]:
    """Return the arguments of ``uvicorn.Config`` with which a reverse proxy is served.

    What proxies before us say is believed by ``trusted_proxies`` alone, and ``Date`` and ``Server`` are the
    upstream's to say.
    """
    return {
        "http": StrictProtocol,
        "ws": "websockets-sansio",
        "proxy_headers": False,
        "server_header": False,
        "date_header": False,
        "access_log": False,
        "lifespan": "on",
    }
