"""Request → the one bearer token it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidToken, MalformedRequest, MissingToken

if TYPE_CHECKING:
    from ..messages import Request

__all__ = ["bare_token", "bearer_token", "extract", "offers_credentials"]

# RFC 6750 §2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_TOKEN_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


def offers_credentials(request: Request) -> bool:
    """Say whether *request* tries to identify itself, well or badly; only absence is anonymous."""
    return bool(request.values("authorization"))


def extract(request: Request, longest: int) -> str:
    """Return the bearer token of *request*, at most *longest* characters of it.

    Raises MissingToken, MalformedRequest, or InvalidToken for one that is too long to look at.
    """
    match request.values("authorization"):
        case ():
            raise MissingToken
        case (value,):
            return bearer_token(value, longest)
        case _:
            raise MalformedRequest("more than one Authorization header")


def bearer_token(authorization: str, longest: int) -> str:
    """Return the token in the value of one ``Authorization`` header (RFC 6750 §2.1)."""
    scheme = authorization[:7]
    if scheme.lower() != "bearer ":
        if scheme.rstrip("\t ").lower() == "bearer":
            raise MissingToken("the Bearer scheme without a token")
        raise MissingToken("another scheme than Bearer")
    if len(authorization) - 7 > longest:  # before anything that would read all of it
        raise InvalidToken("the token is too long")
    token = authorization[7:].strip(" ")
    if not token:
        raise MissingToken("the Bearer scheme without a token")
    return bare_token(token, longest)


def bare_token(token: str, longest: int) -> str:
    """Return *token*, which is sent without a scheme, if it has the form of one (RFC 6750 §2.1: b64token).

    Raises MissingToken, MalformedRequest, or InvalidToken for one that is too long to look at.
    """
    if len(token) > longest:
        raise InvalidToken("the token is too long")
    if not token:
        raise MissingToken("a place for a token, and none in it")
    try:
        strange = token.encode("ascii").translate(None, _TOKEN_CHARACTERS)
    except UnicodeEncodeError:
        strange = b"?"
    body = token.rstrip("=")
    if strange or not body or "=" in body:
        # RFC 6750 §3.1: malformed; a comma or a blank in here are two tokens.
        raise MalformedRequest("characters that no token has")
    return token
