"""Claims and a key → a token that says just that, sensible or not, and the headers that send it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..tokens.compact import to_base64url

if TYPE_CHECKING:
    from ..issuing.signing import SigningKey

__all__ = ["bearer", "mint"]


def bearer(token: str) -> dict[str, str]:
    """Return the headers that send *token* (RFC 6750 §2.1), for the *headers* of any client."""
    return {"Authorization": f"Bearer {token}"}


def mint(
    claims: Mapping[str, Any] | None = None,
    *,
    key: SigningKey | str | bytes | None,
    header: Mapping[str, Any] | None = None,
    lifetime: float = 300,
    clock: Callable[[], float] = time.time,
) -> str:
    """Return a compact JWS (RFC 7515 §7.1) of *claims*, which are taken as they are.

    *key* is one to sign with, a secret for HS256, or None for nobody's signature (``alg`` is ``none``).
    ``iat``, ``exp`` (*lifetime* seconds from now by *clock*, fewer than 0 for an expired token) and ``jti`` are set
    unless *claims* set them; *header* changes what the header says, ``alg`` and ``kid`` too.  What is None is left
    out.  Raises Misconfigured for a secret that no guard would take, and what ``json.dumps`` raises.
    """
    now = int(clock())
    said = {"iat": now, "exp": int(now + lifetime), "jti": secrets.token_urlsafe(16), **(claims or {})}
    signer = _signer(key)
    alg, kid = ("none", None) if signer is None else (signer.alg, signer.kid)
    head = {"alg": alg, "kid": kid, "typ": "at+jwt", **(header or {})}
    signing_input = f"{_segment(head)}.{_segment(said)}"
    signature = b"" if signer is None else signer.sign(signing_input.encode("ascii"))
    return f"{signing_input}.{to_base64url(signature)}"


def _signer(key: SigningKey | str | bytes | None) -> SigningKey | None:
    if not isinstance(key, str | bytes):
        return key
    from ..issuing.signing import SigningKey

    return SigningKey("HS256", key.encode("utf-8") if isinstance(key, str) else key)


def _segment(values: Mapping[str, Any]) -> str:
    present = {name: value for name, value in values.items() if value is not None}
    return to_base64url(json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode("utf-8"))
