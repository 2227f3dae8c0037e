"""An ID token, and what a client knows of the login it asked for → who signed in (OpenID Connect Core §3.1.3.7).

Rules that hold of the token alone are the provider's; those about one login, its ``nonce`` above all, are asked by
:func:`signed_in`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..credentials import Credentials
from ..errors import ClaimRejected, Expired, InvalidToken, Misconfigured, shown
from ..sources.discovery import discovered
from ..tokens import claims
from ..tokens.algorithms import ASYMMETRIC, HMAC
from ..tokens.claims import FOREVER, Rule
from ..tokens.compact import parse, to_base64url
from .fhir_references import is_fhir_base, read_reference
from .identity import ClaimNames
from .provider import Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flow import Flow
    from ..sources.jwks import KeySettings
    from ..tokens.claims import Statement
    from .fhir_references import FhirReference
    from .guard import Guard
    from .provider import KeySource

__all__ = ["FHIR_USERS", "at_hash", "fhir_user", "fhir_user_rule", "id_token", "keys_of", "signed_in"]

FHIR_USERS = frozenset({"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"})
"""The types of resource that ``fhirUser`` may name (SMART App Launch 2.2.0, scopes for requesting identity data)."""
_LONGEST_SUBJECT = 255  # OpenID Connect Core §2


# --- the provider ------------------------------------------------------------------------------------


def id_token(  # noqa: PLR0913 - what is particular to one client, and what all profiles take
    issuer: str | Sequence[str],
    client: str,
    *,
    trusted_audiences: str | Sequence[str] = (),
    fhir_base: str | None = None,
    fhir_users_of_other_servers_are_taken: bool = False,
    exp_may_be_missing: bool = False,
    iat_may_be_missing: bool = False,
    name: str = "id_token",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the ID tokens that *issuer* makes for *client*, the ``client_id`` that it is known by.

    Whom else ``aud`` may name stands in *trusted_audiences*.  Where the token has a ``fhirUser``, it is one of
    :data:`FHIR_USERS`, and relative or on the FHIR server at *fhir_base*: one of another server is taken only where
    *fhir_users_of_other_servers_are_taken*.  Tokens are signed with a key pair unless *algorithms* says otherwise.

    A guard with this provider takes the ID token as a bearer token: for a login, ask
    :func:`jwt_guard.verify_id_token`, which compares the ``nonce``.

    *name* is what credentials and logs call it, *keys* where its keys are, if not where the issuer publishes them,
    *settings* how those are fetched, and *more* are the other fields of
    :class:`~jwt_guard.access.provider.Provider`.  Raises Misconfigured.
    """
    if not isinstance(client, str):
        raise _wrong(name, "client is one text: make a provider for each client")
    trusted = frozenset({client, *_texts(name, "trusted_audiences", trusted_audiences)})
    if not (fhir_base is None or is_fhir_base(fhir_base)):
        raise _wrong(name, "fhir_base is the URL of a FHIR server, without query and fragment")
    for what, flag in (
        ("fhir_users_of_other_servers_are_taken", fhir_users_of_other_servers_are_taken),
        ("iat_may_be_missing", iat_may_be_missing),
    ):
        if not isinstance(flag, bool):
            raise _wrong(name, f"{what} is True or False")
    keys = keys_of(issuer, keys, settings)
    if more.get("algorithms") is None and not getattr(keys, "algorithms", ASYMMETRIC).isdisjoint(HMAC):
        raise _wrong(name, "a secret is for a client that is registered so: name its algorithms, as in HS256")
    more.setdefault("typ", ("JWT", None))
    more.setdefault("claims", ClaimNames(client=("azp", "aud"), scopes=(), roles=()))
    bases = frozenset() if fhir_base is None else frozenset({fhir_base.rstrip("/")})
    rules = (
        _SUBJECT,
        _trusting(trusted),
        _issued_to(client),
        Rule("kid", "it says which key signed it, where there are several", _NamesItsKey(keys)),
        fhir_user_rule(None if fhir_users_of_other_servers_are_taken else bases),
    )
    return Provider(
        name=name,
        issuer=issuer,
        audience=client,
        keys=keys,
        required=("sub", *(() if iat_may_be_missing else ("iat",)), *more.pop("required", ())),
        kind=claims.id_token(),
        exp_may_be_missing=exp_may_be_missing,
        extra_rules=(*rules, *more.pop("extra_rules", ())),
        **more,
    )


def keys_of(
    issuer: str | Sequence[str],
    keys: KeySource | None,
    settings: KeySettings | None,
    also: Iterable[str] = (),
) -> KeySource:
    """Return *keys*, else those that *issuer* publishes, or failing that the documents in *also* point to."""
    if keys is None:
        return discovered(issuer, None, settings, also=also)
    if settings is not None:
        raise Misconfigured("settings are for keys that are fetched from the issuer: give them to the source of keys")
    return keys


def _texts(name: str, what: str, value: object) -> tuple[str, ...]:
    texts: tuple[Any, ...] = (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else (None,)
    )
    if not all(isinstance(text, str) and text and text == text.strip() for text in texts):
        raise _wrong(name, f"{what} are texts that are not empty")
    return texts


def _wrong(name: str, reason: str) -> Misconfigured:
    return Misconfigured(f"provider {name}: {reason}")


# --- what holds of every ID token --------------------------------------------------------------------
# Equal words give the same rule, so that equal providers are equal.


def _short_subject(statement: Statement, _now: float) -> float:
    subject = statement.values.get("sub")
    if isinstance(subject, str) and len(subject) > _LONGEST_SUBJECT:
        raise ClaimRejected("sub", f"has more than {_LONGEST_SUBJECT} characters")
    return FOREVER


_SUBJECT = Rule("sub", f"the subject has {_LONGEST_SUBJECT} characters at most", _short_subject)


def _named(statement: Statement) -> list[object]:
    audience = statement.values.get("aud")
    return audience if isinstance(audience, list) else [audience]


@lru_cache(maxsize=256)
def _trusting(trusted: frozenset[str]) -> Rule:
    expected = sorted(trusted)
    advice = "Who else is named could show this token here: add them to trusted_audiences if they may."

    def holds_until(statement: Statement, _now: float) -> float:
        if not all(isinstance(each, str) and each in trusted for each in _named(statement)):
            got = statement.values.get("aud")
            raise ClaimRejected("aud", "names others, too", expected=expected, got=got, advice=advice)
        return FOREVER

    return Rule("aud", f"the audience is nobody but {' or '.join(map(shown, expected))}", holds_until)


@lru_cache(maxsize=256)
def _issued_to(client: str) -> Rule:
    advice = "The token was issued to another client, or does not say to which of several: sign in with this one."

    def holds_until(statement: Statement, _now: float) -> float:
        if "azp" in statement.values or len(_named(statement)) > 1:
            party = statement.values.get("azp")
            if party != client:
                raise ClaimRejected("azp", "is not the client", expected=client, got=party, advice=advice)
        return FOREVER

    return Rule("azp", f"it was issued to {shown(client)}", holds_until)


@dataclass(frozen=True, slots=True)
class _NamesItsKey:
    """Demands a ``kid`` where the issuer has several keys (OpenID Connect Core §10.1)."""

    source: KeySource = field(compare=False)
    """Two that ask for the same are one rule: which keys there are, providers compare."""

    def __call__(self, statement: Statement, _now: float) -> float:
        if statement.header.kid is None:
            state = getattr(self.source, "state", None)
            if state is not None and state().keys > 1:
                advice = "Have the issuer write kid into the header of its ID tokens."
                raise ClaimRejected("kid", "is required, since there are several keys", advice=advice)
        return FOREVER


@lru_cache(maxsize=256)
def fhir_user_rule(bases: frozenset[str] | None) -> Rule:
    """Demand that ``fhirUser``, if there, is relative or on one of *bases*; None: on whichever server it says."""

    def holds_until(statement: Statement, _now: float) -> float:
        user = _fhir_user(statement.values)
        if user is not None and bases is not None and not (user.base is None or user.base in bases):
            advice = "Say fhir_base, if that server is the one that the application asks; else it is somebody else."
            raise ClaimRejected("fhirUser", "is a resource of another server", advice=advice)
        return FOREVER

    where = "of any server" if bases is None else f"of {' or '.join(map(shown, sorted(bases))) or 'our server'}"
    return Rule("fhirUser", f"the FHIR user, if it says one, is a person {where}", holds_until)


def _fhir_user(values: Mapping[str, Any]) -> FhirReference | None:
    if "fhirUser" not in values:
        return None
    user = read_reference(values["fhirUser"])
    if user is None or user.type not in FHIR_USERS:
        kinds = ", ".join(sorted(FHIR_USERS))
        advice = f"It is Type/id, alone or behind the URL of a FHIR server, and the type one of {kinds}."
        raise ClaimRejected("fhirUser", "names no person as SMART has it", advice=advice)
    return user


def fhir_user(credentials: Credentials) -> FhirReference | None:
    """Return whom the ``fhirUser`` of *credentials* names; None where there is none.

    Raises ClaimRejected for what is no such reference, which the profiles ``id_token`` and ``smart`` let nobody have.
    """
    return _fhir_user(credentials.claims)


# --- what holds of one login -------------------------------------------------------------------------


def signed_in(
    guard: Guard, token: str, *, nonce: str | None, access_token: str | None = None, max_age: float | None = None
) -> Flow[Credentials]:
    """Return who signed in, by an ID token that *guard* takes; see :func:`jwt_guard.verify_id_token`."""
    for what, text in (("nonce", nonce), ("access_token", access_token)):
        if text is not None and not (isinstance(text, str) and text):
            message = f"{what} is a text that is not empty, or None"
            raise ValueError(message)
    if max_age is not None and not (
        isinstance(max_age, int | float) and not isinstance(max_age, bool) and max_age >= 0
    ):
        message = "max_age is a number of seconds, or None"
        raise ValueError(message)
    answer = guard.admit(token)
    credentials = answer if isinstance(answer, Credentials) else (yield from answer)
    provider = _provider_of(guard, credentials)
    if provider is None or provider.kind is not claims.id_token():
        raise InvalidToken(f"{credentials.provider} is no provider of ID tokens")
    _answers(credentials, nonce)
    if access_token is not None:
        _came_with(credentials, access_token, parse(token, guard.limits).alg)
    if max_age is not None:
        _signed_in_after(credentials, guard.clock() - max_age - provider.leeway)
    return credentials


def _provider_of(guard: Guard, credentials: Credentials) -> Provider | None:
    known = (*guard.providers, *(guard.resolver.kept if guard.resolver is not None else ()))
    issuer = credentials.claims["iss"]
    return next((provider for provider in known if issuer in provider.issuers), None)


def _answers(credentials: Credentials, nonce: str | None) -> None:
    """Demand the ``nonce`` that was sent, and none where none was (OpenID Connect Core §2, §3.1.3.7)."""
    got = credentials.claims.get("nonce")
    if (got is None) != (nonce is None) or not _are_one(got or "", nonce or ""):
        advice = "This token was made for another login: compare with the nonce of this one, and begin again if it is."
        raise ClaimRejected("nonce", "is not that of this login", advice=advice)


def _came_with(credentials: Credentials, access_token: str, alg: str) -> None:
    """Demand that ``at_hash`` is that of *access_token* (OpenID Connect Core §3.1.3.8)."""
    if not _are_one(credentials.claims.get("at_hash"), at_hash(access_token, alg)):
        advice = "The two were not issued together, or the issuer does not bind them: then leave the access token out."
        raise ClaimRejected("at_hash", "is not that of the access token", advice=advice)


def _signed_in_after(credentials: Credentials, moment: float) -> None:
    """Demand that the person was asked no longer ago than was allowed (OpenID Connect Core §3.1.2.1)."""
    when = credentials.claims.get("auth_time")
    if when is None:
        raise ClaimRejected("auth_time", "is required, since there is a maximum age")
    if when <= moment:
        raise Expired("auth_time", "is too long ago", expected=f"later than {moment:.0f}", got=when)


def _are_one(got: object, expected: str) -> bool:
    octets = expected.encode("utf-8", "surrogatepass")
    return isinstance(got, str) and hmac.compare_digest(got.encode("utf-8", "surrogatepass"), octets)


_HASHED = re.compile(r"[A-Z]{2}(256|384|512)K?")


def at_hash(access_token: str, alg: str) -> str:
    """Return the ``at_hash`` of *access_token* in an ID token that is signed with *alg*: half of the hash of *alg*.

    OpenID Connect Core §3.1.3.6.  EdDSA on Ed25519 hashes with SHA-512 (RFC 8032 §5.1).  Raises InvalidToken for an
    algorithm of which no standard says the hash.
    """
    match = _HASHED.fullmatch(alg)
    if match is None and alg not in ("EdDSA", "Ed25519"):
        raise InvalidToken(f"which hash at_hash takes with {shown(alg)} is not known")
    octets = access_token.encode("utf-8", "surrogatepass")
    digest = hashlib.new(f"sha{'512' if match is None else match[1]}", octets).digest()
    return to_base64url(digest[: len(digest) // 2])
