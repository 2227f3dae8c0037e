"""Text or bytes → the octets of an HMAC secret, or why they are none.

A published key taken for a secret lets everybody sign (CVE-2016-10555 and its many children), and an empty
one lets everybody sign without even that (CVE-2026-45363): so both are refused, in whatever wrapping.
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64

__all__ = ["usable_secret"]

_ARMOUR = (b"-----BEGIN", b"---- BEGIN")
_SSH = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-sha2-", b"openssh-key-v1")
_SEQUENCE = 0x30
_LONG_FORM = 0x80


def usable_secret(secret: object) -> bytes | str:
    """Return the octets of *secret*, or, as text, why it is none."""
    if isinstance(secret, str):
        octets = secret.encode("utf-8", "surrogatepass")
    elif isinstance(secret, bytes | bytearray | memoryview):
        octets = bytes(secret)
    else:
        return f"a secret is text or bytes, not {type(secret).__name__}"
    bare = octets.strip()
    if not bare.strip(b"\0"):
        return "the secret is empty or blank"
    if any(mark in octets for mark in _ARMOUR):
        return "the secret is a key in PEM"
    if bare.startswith(_SSH):
        return "the secret is an SSH key"
    if bare.startswith(b"{") and bare.endswith(b"}") and (b'"kty"' in bare or b'"keys"' in bare):
        return "the secret is a JWK"
    if _is_der(octets) or _is_der(_unwrapped(bare)):
        return "the secret is a key in DER"
    return octets


def _is_der(octets: bytes) -> bool:
    """Say whether *octets* are one whole DER sequence, as each kind of encoded key is."""
    if len(octets) < 2 or octets[0] != _SEQUENCE:  # noqa: PLR2004 - tag and length
        return False
    length, start = octets[1], 2
    if length >= _LONG_FORM:
        start += length - _LONG_FORM
        length = int.from_bytes(octets[2:start], "big")
    return len(octets) == start + length


def _unwrapped(text: bytes) -> bytes:
    """Return what *text* is the base64 of, or nothing."""
    try:
        return a2b_base64(b"".join(text.split()), strict_mode=True)
    except NotBase64:
        return b""
