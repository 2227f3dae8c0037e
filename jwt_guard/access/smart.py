"""A SMART App Launch server → a Provider of its access tokens, and credentials → the context they were launched in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import ClaimRejected, Misconfigured, shown
from ..sources.address import why_not
from ..tokens.claims import FOREVER, Rule, has
from .fhir_references import is_fhir_base, read_reference
from .id_tokens import fhir_user, fhir_user_rule, keys_of
from .identity import ClaimNames
from .provider import Provider

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..sources.jwks import KeySettings
    from ..tokens.claims import Statement
    from .fhir_references import FhirReference
    from .provider import KeySource

__all__ = ["LaunchContext", "context", "smart"]

_CONFIGURATION = "/.well-known/smart-configuration"
_IN_CONTEXT = {"patient": "Patient", "encounter": "Encounter"}
"""The claims of the launch context, and the type of resource that each names."""
_SCOPED = has(
    "scope",
    "scp",
    advice="This may be an ID token, or one that nothing was granted to: have the client ask for SMART scopes, as in "
    "patient/Observation.rs, and send the access_token of the token response.",
)


def smart(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "smart",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the access tokens of a SMART authorization server (SMART App Launch 2.2.0).

    *audience* is the base URL of the FHIR server, exactly as clients name it in ``aud``, or a list of such.  The keys
    are where the issuer's metadata says, or failing that where the FHIR server's ``.well-known/smart-configuration``
    says, which must name the issuer.  The launch context, ``patient``, ``encounter`` and ``fhirUser``, is of that
    server, or the token is refused; :func:`context` reads it.

    *name* is what credentials and logs call it, *settings* say how keys are fetched, and *more* are the other fields
    of :class:`~jwt_guard.access.provider.Provider`.  Raises Misconfigured.
    """
    urls = (audience,) if isinstance(audience, str) else tuple(audience) if isinstance(audience, Sequence) else ()
    if not urls or not all(map(is_fhir_base, urls)):
        raise Misconfigured(f"provider {name}: audience is the base URL of the FHIR server, as in https://ehr/fhir")
    hosts = () if settings is None else settings.plain_http_hosts
    bases = tuple(url.rstrip("/") for url in urls)
    also = (base + _CONFIGURATION for base in bases if why_not(base, hosts) is None)
    more.setdefault("claims", ClaimNames(client=("client_id", "azp", "cid"), roles=()))
    return Provider(
        name=name,
        issuer=issuer,
        audience=audience,
        keys=keys_of(issuer, keys, settings, also),
        extra_rules=(
            _SCOPED,
            _of_servers(frozenset(bases)),
            fhir_user_rule(frozenset(bases)),
            *more.pop("extra_rules", ()),
        ),
        **more,
    )


@lru_cache(maxsize=256)  # for equal servers the same, so that equal providers are equal
def _of_servers(bases: frozenset[str]) -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        for claim in _IN_CONTEXT:
            if claim in statement.values:
                _id(claim, statement.values[claim], bases)
        return FOREVER

    names = " or ".join(map(shown, sorted(bases)))
    return Rule("patient", f"the launch context, if it says one, is of {names}", holds_until)


def _id(claim: str, value: object, bases: Collection[str]) -> str:
    """Return the id that *value* is, alone, with its type, or with that and one of *bases* in front."""
    wanted = _IN_CONTEXT[claim]
    text = f"{wanted}/{value}" if isinstance(value, str) and "/" not in value else value
    reference = read_reference(text)
    if reference is None or reference.type != wanted:
        advice = f"It is an id, alone or as {wanted}/id."
        raise ClaimRejected(claim, f"names no {wanted}", advice=advice)
    if reference.base is not None and reference.base not in bases:
        advice = "An id counts on its own server alone: have the issuer write it without the server in front."
        raise ClaimRejected(claim, "is a resource of another server", advice=advice)
    return reference.id


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What an app was launched for; ids are those of the FHIR server that is guarded."""

    patient: str | None = field(default=None, repr=False)
    """The id of the patient in context, which patient-level scopes are about."""
    encounter: str | None = field(default=None, repr=False)
    """The id of the encounter in context."""
    fhir_user: FhirReference | None = None
    """Who signed in."""


def context(credentials: Credentials, fhir_base: str | None = None) -> LaunchContext:
    """Return the launch context that the claims ``patient``, ``encounter`` and ``fhirUser`` of *credentials* say.

    *fhir_base* is the FHIR server that is guarded, for claims that are absolute URLs; None: the one that ``aud``
    names, where it names one alone.  Raises ClaimRejected for claims that do not name what they should, which the
    profile ``smart`` lets nobody have.
    """
    claims = credentials.claims
    audience = claims.get("aud") if fhir_base is None else fhir_base
    named = (audience,) if isinstance(audience, str) else audience
    bases = [str(named[0]).rstrip("/")] if isinstance(named, tuple) and len(named) == 1 else []
    ids = {claim: _id(claim, claims[claim], bases) for claim in _IN_CONTEXT if claim in claims}
    return LaunchContext(ids.get("patient"), ids.get("encounter"), fhir_user(credentials))
