"""What can go wrong → one tree of errors that know whose fault it is and what a client may be told.

The fields are for programs, ``str(error)`` is for our own log, and the client sees neither: it gets the
status, the RFC 6750 code and a fixed sentence (see ``access/challenge.py``).  No error holds a token, a
key or a claim set.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousPath",
    "AmbiguousRequest",
    "BadSignature",
    "ClaimRejected",
    "ClientTooSlow",
    "ContentTooLarge",
    "CrossOrigin",
    "Expired",
    "FetchFailed",
    "GuardError",
    "InsufficientScope",
    "InvalidToken",
    "KeysUnavailable",
    "MalformedRequest",
    "MethodNotAllowed",
    "Misconfigured",
    "MissingToken",
    "Refused",
    "Revoked",
    "SaltFailed",
    "StoreFailed",
    "Unavailable",
    "UnknownIssuer",
    "UnknownKey",
    "UpstreamFailed",
    "UpstreamTooSlow",
    "shown",
]

_SHOWN_CHARACTERS = 120


def shown(value: object) -> str:
    """Return *value* as one short line of ASCII that is safe to log, whatever a stranger put into it.

    Of what is no plain value, nor a list of texts, only the type: an object may be a whole claim set.
    """
    plain = value is None or isinstance(value, str | int | float)
    if not plain and not (isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)):
        return f"<{type(value).__name__}>"
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


class GuardError(Exception):
    """Why a request was not let in."""

    status: int = 401
    """The HTTP status that says so."""
    code: str | None = None
    """The ``error`` of RFC 6750 §3.1, where there is one."""

    def __init__(self, reason: str) -> None:
        # Exception keeps the arguments by itself; a sentence that takes work is made when somebody reads it.
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Refused(GuardError):
    """The caller's doing."""


class MissingToken(Refused):
    """No bearer token was offered (RFC 6750 §3.1: no error code when nothing was sent)."""

    def __init__(self, reason: str = "no bearer token was sent") -> None:
        super().__init__(reason)


class MalformedRequest(Refused):
    """The way the token was sent is wrong, whatever the token is worth."""

    status = 400
    code = "invalid_request"


class AmbiguousRequest(Refused):
    """Two programs could read two requests in this one, whatever its token is worth (RFC 9112 §11.2)."""

    status = 400


class ContentTooLarge(Refused):
    """The form is longer than is read to look for a token in it (RFC 9110 §15.5.14)."""

    status = 413


class ClientTooSlow(Refused):
    """A client of a gateway did not send the rest of its request in time (RFC 9110 §15.5.9)."""

    status = 408


class CrossOrigin(Refused):
    """A browser sent a cookie, and nothing shows that a page of ours made it do so."""

    status = 403


class InvalidToken(Refused):
    """The token is no JWT, or not a good one, or not for us."""

    code = "invalid_token"


class UnknownIssuer(InvalidToken):
    """No provider of this guard has this issuer."""

    def __init__(self, issuer: object) -> None:
        super().__init__("no provider has this issuer")
        self.issuer = issuer

    def __str__(self) -> str:
        return f"{self.reason}: {shown(self.issuer)}"


class UnknownKey(InvalidToken):
    """The provider has no key of this name that fits the token's algorithm."""

    def __init__(self, kid: str | None, alg: str, reason: str = "no such key") -> None:
        super().__init__(reason)
        self.kid = kid
        self.alg = alg

    def __str__(self) -> str:
        return f"{self.reason}: kid {shown(self.kid)}, alg {shown(self.alg)}"


class BadSignature(InvalidToken):
    """The signature is not one that this key made over these bytes."""

    def __init__(self, kid: str | None, alg: str) -> None:
        super().__init__("the signature does not verify")
        self.kid = kid
        self.alg = alg

    def __str__(self) -> str:
        return f"{self.reason}: kid {shown(self.kid)}, alg {shown(self.alg)}"


class SaltFailed(InvalidToken):
    """The function that generates HMAC keys gave none for these claims."""


class Revoked(InvalidToken):
    """The token was good, and has been taken back."""

    def __init__(self, reason: str = "the token was revoked") -> None:
        super().__init__(reason)


class ClaimRejected(InvalidToken):
    """A rule about one claim does not hold.

    *expected* and *got* are set only for claims that name no person (``iss``, ``aud``, ``typ``, times).
    """

    def __init__(
        self, claim: str, reason: str, *, expected: object = None, got: object = None, advice: str | None = None
    ) -> None:
        super().__init__(reason)
        self.claim = claim
        self.expected = expected
        self.got = got
        self.advice = advice

    def __str__(self) -> str:
        words = f"{self.claim}: {self.reason}"
        if self.expected is not None:
            words += f" (expected {shown(self.expected)}, got {shown(self.got)})"
        return words


class Expired(ClaimRejected):
    """The token was good once."""


class InsufficientScope(Refused):
    """The token is good, but not for this."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, required: frozenset[str] = frozenset(), reason: str = "the token does not allow this") -> None:
        super().__init__(reason if not required else f"{reason}: needs {shown(' '.join(sorted(required)))}")
        self.required = required
        """The scopes that would do; empty where scopes are not what is missing."""


class AmbiguousPath(InsufficientScope):
    """The path can be read in two ways, so that no route can be said to allow it, and no rule to forbid it."""

    def __init__(self) -> None:
        super().__init__(reason="the path has no unambiguous normal form")


class MethodNotAllowed(Refused):
    """The route exists, but not for this method."""

    status = 405

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(f"the route takes {', '.join(sorted(allowed))}")
        self.allowed = allowed


class Unavailable(GuardError):
    """We cannot tell: ours to mend, and only for now."""

    status = 503

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds after which asking again may help."""


class UpstreamFailed(Unavailable):
    """The application behind a gateway could not be reached, or did not answer as one does (RFC 9110 §15.6.3)."""

    status = 502


class UpstreamTooSlow(Unavailable):
    """The application behind a gateway did not answer in time (RFC 9110 §15.6.5)."""

    status = 504


class KeysUnavailable(Unavailable):
    """The keys are out of reach, and the token could be good."""


class FetchFailed(Unavailable):
    """A document could not be fetched, or was not what it should be."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{reason}: {shown(url)}")
        self.url = url


class StoreFailed(Unavailable):
    """The shared store did not answer, or not with what it should."""


class Misconfigured(ValueError):
    """The guard cannot be built like this: raised at start, never while serving."""
