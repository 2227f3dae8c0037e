"""Text → UnverifiedToken: the compact serialisation of RFC 7515 §7.1, read strictly, whatever the text is.

Every text gives a token or an :class:`~jwt_guard.errors.InvalidToken`, never another exception.  There
is one way to write each token: no padding, no spare bits, no second alphabet, no second member of a name.
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import b2a_base64
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..credentials import ReadOnly
from ..errors import InvalidToken, Misconfigured
from .decoding import b64decode
from .strict_json import NotStrictJson, json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DEFAULT_LIMITS",
    "Header",
    "Limits",
    "UnverifiedJws",
    "UnverifiedToken",
    "from_base64url",
    "media_type",
    "parse",
    "read_jws",
    "to_base64url",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a token is looked at."""

    token: int = 16_384
    """Characters of the whole token (an ML-DSA-87 signature alone has 6,170)."""
    header: int = 4_096
    """Characters of its header (one that carries certificates in ``x5c`` may need more)."""

    def __post_init__(self) -> None:
        """Refuse limits that no token meets."""
        if not 0 < self.header <= self.token:
            raise Misconfigured("limits must be 0 < header <= token")


DEFAULT_LIMITS = Limits()

_HEADER_DEPTH = 16
_PAYLOAD_DEPTH = 32
_LONGEST_KID = 1_024

# Bytes are looked for as numbers, since `b"." in data` costs an exception inside.
_DOT, _PLUS, _SLASH, _EQUALS = b".+/="
_TO_URL = bytes.maketrans(b"+/", b"-_")
# By length modulo 4: what is missing to whole groups, and which last characters have no spare bits set
# (RFC 4648 §3.5).  A lone character over is no byte at all.
_ENDINGS = {1: (b"", b""), 2: (b"==", b"AQgw"), 3: (b"=", b"AEIMQUYcgkosw048")}


@dataclass(frozen=True, slots=True)
class Header:
    """A JOSE header that asks for nothing we do not do."""

    alg: str
    kid: str | None
    typ: str | None
    media_type: str | None
    """The ``typ`` to compare: without case, and without the ``application/`` that may be left out."""
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """The three parts of a compact JWS; nobody has vouched for any of it."""

    header: Header
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


class UnverifiedToken(NamedTuple):
    """A well-formed token; good for choosing a key, nothing more.

    A named tuple, since it is made on every request and a frozen dataclass takes four times as long.
    """

    header: Header
    values: Mapping[str, Any]
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Show only the header: the rest is the token."""
        return f"UnverifiedToken({self.header!r})"

    @property
    def alg(self) -> str:
        """The algorithm the token names (RFC 7515 §4.1.1)."""
        return self.header.alg

    @property
    def kid(self) -> str | None:
        """The key the token names (RFC 7515 §4.1.4)."""
        return self.header.kid

    @property
    def issuer(self) -> object:
        """The ``iss`` the token claims, of whatever type it is."""
        return self.values.get("iss")


_new = tuple.__new__  # what UnverifiedToken(...) comes to, without the detour that named tuples take


def parse(text: str, limits: Limits = DEFAULT_LIMITS, look: Callable[[Header], None] | None = None) -> UnverifiedToken:
    """Read *text* as a JWT in compact serialisation (RFC 7519 §7.2), or raise InvalidToken.

    *look* is shown the header before the rest is read, and may raise: most bad tokens need cost no more.
    """
    header, payload, signing_input, signature = _split(text, limits, look)
    try:
        values = json_object(payload, _PAYLOAD_DEPTH)
    except NotStrictJson as error:
        raise InvalidToken(f"the payload {error}") from None
    return _new(UnverifiedToken, (header, values, signing_input, signature))


def read_jws(text: str, limits: Limits = DEFAULT_LIMITS) -> UnverifiedJws:
    """Read *text* as a compact JWS whose payload may be anything, or raise InvalidToken."""
    return UnverifiedJws(*_split(text, limits))


def from_base64url(segment: bytes, part: str) -> bytes:
    """Return the bytes that *segment* is the one base64url spelling of, or raise InvalidToken naming *part*."""
    if _PLUS in segment or _SLASH in segment or _EQUALS in segment:  # the other alphabet, and padding
        raise InvalidToken(f"the {part} is not base64url")
    rest = len(segment) & 3
    if rest:
        padding, ends = _ENDINGS[rest]
        if segment[-1] not in ends:
            raise InvalidToken(f"the {part} is not base64url")
        segment += padding
    try:
        return b64decode(segment, b"-_", True)  # noqa: FBT003 - a keyword takes as long as the decoding
    except NotBase64:
        raise InvalidToken(f"the {part} is not base64url") from None


def to_base64url(octets: bytes) -> str:
    """Return the one base64url spelling of *octets* (RFC 7515 §2)."""
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def _split(
    text: str, limits: Limits, look: Callable[[Header], None] | None = None
) -> tuple[Header, bytes, bytes, bytes]:
    if not isinstance(text, str):
        raise InvalidToken("a token is text")
    if len(text) > limits.token:
        raise InvalidToken("the token is too long")
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken("a token is ASCII") from None
    signing_input, _, signature = raw.rpartition(b".")
    head, dot, payload = signing_input.partition(b".")
    if not dot or _DOT in payload:
        raise InvalidToken("a signed token has three parts")
    if len(head) > limits.header:
        raise InvalidToken("the header is too long")
    header = _header(head)
    if look is not None:
        look(header)
    return header, from_base64url(payload, "payload"), signing_input, from_base64url(signature, "signature")


@lru_cache(maxsize=256)  # an issuer writes the same header again and again
def _header(segment: bytes) -> Header:
    try:
        values = json_object(from_base64url(segment, "header"), _HEADER_DEPTH)
    except NotStrictJson as error:
        raise InvalidToken(f"the header {error}") from None
    alg, kid, typ = values.get("alg"), values.get("kid"), values.get("typ")
    if not isinstance(alg, str) or not alg:
        raise InvalidToken("the header names no algorithm")
    if not (kid is None and "kid" not in values) and not (isinstance(kid, str) and len(kid) <= _LONGEST_KID):
        raise InvalidToken("the kid is no short text")
    if not (typ is None and "typ" not in values) and not isinstance(typ, str):
        raise InvalidToken("the typ is no text")
    if "crit" in values:  # RFC 7515 §4.1.11: we understand no extension, so each is one too many
        raise InvalidToken("crit asks for an extension")
    if "b64" in values:  # RFC 7797 allows it only under crit, and a JWT never (§7)
        raise InvalidToken("b64 has no place in a JWT")
    if "zip" in values:
        raise InvalidToken("a signed token is not compressed")
    cty = values.get("cty")
    if cty is not None and not (isinstance(cty, str) and cty.lower() not in {"jwt", "application/jwt"}):
        raise InvalidToken("a token within a token")  # RFC 7519 §5.2
    return Header(alg, kid, typ, media_type(typ), ReadOnly(values))


def media_type(typ: str | None) -> str | None:
    """Return *typ* as it is compared (RFC 7515 §4.1.9, RFC 2045 §5.1)."""
    return None if typ is None else typ.lower().removeprefix("application/")
