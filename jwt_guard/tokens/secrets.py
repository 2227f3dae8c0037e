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
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b"\0\t\n\v\f\r "
_SEQUENCE, _INTEGER = 0x30, 0x02
_LONG_FORM = 0x80


def usable_secret(secret: object) -> bytes | str:
    """Return the octets of *secret*, or, as text, why it is none."""
    if isinstance(secret, str):
        octets = b"" if not secret.strip() else secret.encode("utf-8", "surrogatepass")
    elif isinstance(secret, bytes | bytearray | memoryview):
        octets = bytes(secret)
    else:
        return f"a secret is text or bytes, not {type(secret).__name__}"
    bare = octets.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANK)  # a key in DER may end in what looks like a blank
    if not bare:
        return "the secret is empty or blank"
    kind = _kind_of_key(octets) or _kind_of_key(bare) or _kind_of_key(_unwrapped(bare))
    return octets if kind is None else f"the secret is {kind}"


def _kind_of_key(octets: bytes) -> str | None:
    if any(mark in octets for mark in _ARMOUR):
        return "a key in PEM"
    if octets.startswith(_SSH) or octets[4:].startswith(_SSH):  # as a line of text, and as the octets in it
        return "an SSH key"
    if octets[:1] in (b"{", b"[") and (b'"kty"' in octets or b'"keys"' in octets):
        return "a JWK"
    if _is_der(octets):
        return "a key in DER"
    return None


def _is_der(octets: bytes) -> bool:
    """Say whether *octets* are a DER sequence that starts as each kind of encoded key does, and perhaps blanks."""
    outer = _element(octets, 0)
    if outer is None or octets[0] != _SEQUENCE or octets[outer[1] :].strip(_BLANK):
        return False
    inner = _element(octets, outer[0])
    return inner is not None and octets[outer[0]] in (_SEQUENCE, _INTEGER) and inner[1] <= outer[1]


def _element(octets: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of the DER element at *at* begins and ends, or None where there is no whole one."""
    if len(octets) < at + 2:
        return None
    length, start = octets[at + 1], at + 2
    if length >= _LONG_FORM:
        start += length - _LONG_FORM
        length = int.from_bytes(octets[at + 2 : start], "big")
    return (start, start + length) if len(octets) >= start + length else None


def _unwrapped(text: bytes) -> bytes:
    """Return what *text* is the base64 of, in either alphabet, padded or not; nothing where it is none."""
    bare = b"".join(text.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=True)
    except NotBase64:
        return b""
