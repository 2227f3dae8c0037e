"""Octets that are nobody's business → a text that its bearer alone can bring back, and nobody can read or change.

What is sealed goes to strangers, in links; it comes back with a request, and is opened for the bearer that it was given
to.  It has no end of its own: whoever needs one puts it into the content.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from ..errors import Misconfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Sealer"]

_KEY: Final = 32
_SALT: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_LENGTH: Final = 4
_STEP: Final = 256
_PURPOSE: Final = b"jwt_guard sealing 1"
_TEXT = re.compile(r"[A-Za-z0-9_-]+")


class Sealer:
    """Seals octets for a bearer, and opens what it has sealed.  Raises Misconfigured.

    *key* is at least 32 random octets, the same in all processes that are to open what one of them has sealed.  None: a
    random one of this object, so that what it sealed is opened by nobody else, nor after a restart.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes | None = None) -> None:
        """Refuse a key that could be guessed."""
        if key is not None and (not isinstance(key, bytes) or len(key) < _KEY):
            raise Misconfigured(f"sealing: a key is bytes, and at least {_KEY} of them")
        # As HKDF begins (RFC 5869 §2.2): HMAC would take a key with a nought at its end for the one without.
        self._key = hmac.digest(_PURPOSE, os.urandom(_KEY) if key is None else key, "sha256")

    def __repr__(self) -> str:
        """Say what this is, and not its key."""
        return "Sealer(…)"

    def seal(self, content: bytes, bearer: str) -> str:
        """Return *content* sealed for *bearer*: letters, digits, ``-`` and ``_``, other ones each time.

        Its length says that of the content to 256 octets only.
        """
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        framed = len(content).to_bytes(_LENGTH, "big") + content
        sealed = self._cipher(salt).encrypt(nonce, framed + bytes(-len(framed) % _STEP), _said(bearer))
        return urlsafe_b64encode(salt + nonce + sealed).rstrip(b"=").decode()

    def opened(self, text: str, bearer: str) -> bytes | None:
        """Return what was sealed for *bearer* as *text*; None for all else, whatever is wrong with it."""
        from cryptography.exceptions import InvalidTag

        octets = _octets(text)
        if octets is None:
            return None
        salt, nonce, sealed = octets[:_SALT], octets[_SALT : _SALT + _NONCE], octets[_SALT + _NONCE :]
        try:
            framed = self._cipher(salt).decrypt(nonce, sealed, _said(bearer))
        except InvalidTag:
            return None
        return framed[_LENGTH : _LENGTH + int.from_bytes(framed[:_LENGTH], "big")]

    def _cipher(self, salt: bytes) -> AESGCM:
        # A key for each text: random nonces under one key would have to end after 2^32 of them (NIST SP 800-38D §8.3).
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._key, salt, "sha256"))


def _said(bearer: str) -> bytes:
    return bearer.encode("utf-8", "surrogatepass")


def _octets(text: str) -> bytes | None:
    """Return what *text* is the one base64url spelling of; None where it is none, or too short to be ours."""
    if not _TEXT.fullmatch(text) or len(text) % 4 == 1:
        return None
    octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last letter may have bits that mean nothing: one text is one sealing, and no other text is.
    if len(octets) < _SALT + _NONCE + _TAG or urlsafe_b64encode(octets).rstrip(b"=").decode() != text:
        return None
    return octets
