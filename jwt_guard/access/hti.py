"""What HTI asks of a launch token → a Provider of them, and the claims of one → Launch.

HTI is the Health Tools Interoperability protocol: a portal starts a module for somebody, and the token says whom and
for which task.  Version 2.0 says so in claims, version 1.1 in a FHIR Task inside the claim ``task``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import ClaimRejected, Misconfigured
from ..sources.discovery import discovered
from ..tokens.algorithms import ASYMMETRIC
from ..tokens.claims import FOREVER, Rule
from .identity import ClaimNames
from .once import Once
from .provider import Provider

if TYPE_CHECKING:
    from ..sources.jwks import KeySettings
    from ..tokens.claims import Statement
    from .provider import KeySource

__all__ = ["HTI_ALGORITHMS", "Launch", "hti_launch", "is_of_launches", "read_launch"]

HTI_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""What a module has to take; with a secret, which two share, nothing is ever signed (HTI 2.0)."""
_LONGEST = 300.0
_A_DAY = 86_400.0
_VERSION = "2.0"

_ID = r"(?!\.+\Z)[A-Za-z0-9.-]{1,64}"  # FHIR's, without those that are another folder in a URL
_REFERENCE = re.compile(rf"[A-Z][A-Za-z]{{0,63}}/{_ID}")
_PATIENT = re.compile(rf"Patient/{_ID}")
_TASK_ID = re.compile(_ID)
_URL = re.compile(r"(?:https?://|urn:uuid:|urn:oid:)[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%|-]{1,1000}")
_CODE = re.compile(r"[A-Za-z0-9-]{1,64}")
_WORD = re.compile(r"[!-~]{1,255}")
_HINT = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")


@dataclass(frozen=True, slots=True)
class Launch:
    """What a portal has started, and for whom: the same for each version of HTI."""

    user: str = field(repr=False)
    """Who launches, ``Type/id``: a pseudonym that lasts."""
    resource: str
    """The task, ``Task/id``."""
    definition: str | None
    """What the task is one of: a URL, or ``Type/id``."""
    patient: str | None = field(repr=False)
    """Whom it is about, ``Patient/id``, where that is not the user."""
    intent: str | None
    version: str
    """``2.0`` or ``1.1``."""
    issuer: str
    """The portal."""
    audience: str
    """The module."""
    jti: str
    """What a log or an AuditEvent calls this launch."""
    idp_hint: str | None = None
    """Where the user can sign in (Koppeltaal)."""


def hti_launch(  # noqa: PLR0913 - what is particular to one portal, and each way to ask for less
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "hti_launch",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    once: Once | None = None,
    longest_lifetime_beyond_hti: float | None = None,
    kid_may_be_missing: bool = False,
    sub_may_be_any_text: bool = False,
    may_be_used_more_than_once: bool = False,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the launch tokens of one portal, whose ``iss`` is *issuer*, for the module *audience*.

    At Koppeltaal the one is a client id and the other ``Device/…``.  *keys* are the portal's alone: whoever shares
    them could launch as it; *settings* say how they are fetched from where the issuer publishes them.  *once* holds
    which tokens were used, by default in this process.

    What HTI forbids or asks for is kept unless one of these says otherwise: *longest_lifetime_beyond_hti*, seconds
    from ``iat`` to ``exp`` instead of 300; *kid_may_be_missing*, for a public key that was handed over without a name;
    *sub_may_be_any_text*, which is no reference then; and *may_be_used_more_than_once*.

    *more* are the other fields of :class:`~jwt_guard.access.provider.Provider`.  Raises Misconfigured.
    """
    if settings is not None and keys is not None:
        raise _wrong(name, "settings are for keys that are fetched from the issuer: give them to the source of keys")
    if settings is not None:
        keys = discovered(issuer, None, settings)
    longest = _LONGEST if longest_lifetime_beyond_hti is None else longest_lifetime_beyond_hti
    if isinstance(longest, bool) or not isinstance(longest, int | float) or not _LONGEST <= longest <= _A_DAY:
        raise _wrong(name, "longest_lifetime_beyond_hti is a number of seconds above the 300 of HTI, a day at most")
    flags = kid_may_be_missing, sub_may_be_any_text, may_be_used_more_than_once
    if not all(isinstance(flag, bool) for flag in flags):
        raise _wrong(name, "what may be missing or used again is said with True or False")
    if may_be_used_more_than_once and once is not None:
        raise _wrong(name, "either once counts the tokens, or they may be used more than once")
    if not may_be_used_more_than_once and once is None:
        once = Once()
    named = () if kid_may_be_missing else (_NAMED_KEY,)
    rules = (*named, _alive_for(float(longest)), _launching(sub_may_be_any_text=sub_may_be_any_text))
    more.setdefault("typ", ("JWT", None))
    more.setdefault("claims", ClaimNames(user=("sub",), client=(), scopes=(), roles=()))
    return Provider(
        name=name,
        issuer=issuer,
        audience=audience,
        keys=keys,
        algorithms=_algorithms(name, keys, more.pop("algorithms", None)),
        required=("iat", "jti", "sub", *more.pop("required", ())),
        kind=_A_LAUNCH,
        extra_rules=(*rules, *more.pop("extra_rules", ())),
        once=once,
        **more,
    )


def is_of_launches(provider: Provider) -> bool:
    """Say whether *provider* was made by :func:`hti_launch`."""
    return provider.kind is _A_LAUNCH


def _algorithms(name: str, keys: KeySource | None, said: Sequence[str] | None) -> Sequence[str]:
    if said is not None:
        if isinstance(said, str) or not set(said) <= set(HTI_ALGORITHMS):
            raise _wrong(name, f"the algorithms of HTI are {', '.join(HTI_ALGORITHMS)}")
        return said
    possible = getattr(keys, "algorithms", ASYMMETRIC)
    both = [alg for alg in HTI_ALGORITHMS if alg in possible]
    if not both:
        raise _wrong(name, f"its keys can do none of the algorithms of HTI: {', '.join(HTI_ALGORITHMS)}")
    return both


def _wrong(name: str, reason: str) -> Misconfigured:
    return Misconfigured(f"provider {name}: {reason}")


# --- what must hold ----------------------------------------------------------------------------------

_OF_OTHERS = {
    "scope": "an access token",
    "scp": "an access token",
    "nonce": "an ID token",
    "at_hash": "an ID token",
    "c_hash": "an ID token",
    "events": "a logout or security event token",
    "htm": "a DPoP proof",
    "htu": "a DPoP proof",
}


def _says_nothing_else(statement: Statement, _now: float) -> float:
    for claim, kind in _OF_OTHERS.items():
        if claim in statement.values:
            raise ClaimRejected(claim, f"says that this is {kind}", expected="a launch token", got=kind)
    if statement.values.get("type") == "access":  # as Koppeltaal's server has it
        raise ClaimRejected("type", "says that this is an access token", expected="a launch token", got="access")
    return FOREVER


_A_LAUNCH = Rule("kind", "it is a launch token", _says_nothing_else)


def _names_its_key(statement: Statement, _now: float) -> float:
    if statement.header.kid is None:  # HTI 2.0, The message format: where keys are published as a JWKS
        raise ClaimRejected("kid", "is required", advice="The portal has to name its key in the header.")
    return FOREVER


_NAMED_KEY = Rule("kid", "the token names its key", _names_its_key)


@lru_cache(maxsize=64)  # for equal arguments the same, so that equal providers are equal
def _alive_for(longest: float) -> Rule:
    advice = (
        "HTI allows five minutes. Have the portal make tokens that live shorter, or allow it "
        "longest_lifetime_beyond_hti seconds, in which whoever finds a token can use it."
    )

    def holds_until(statement: Statement, _now: float) -> float:
        # Both are dates by now, as the usual rules have it, if they are there.
        issued, expires = statement.values.get("iat"), statement.values.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise ClaimRejected("iat", "is required")
        lifetime = expires - issued
        if not 0 < lifetime <= longest:
            expected = f"at most {longest:g} s after iat"
            raise ClaimRejected("exp", "is not a launch's", expected=expected, got=f"{lifetime:g} s", advice=advice)
        return FOREVER

    return Rule("exp", f"it lives for {longest:g} s at most", holds_until)


@lru_cache(maxsize=2)
def _launching(*, sub_may_be_any_text: bool) -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        read_launch(statement.values, sub_may_be_any_text=sub_may_be_any_text)
        return FOREVER

    return Rule("launch", "it says who launches which task", holds_until)


# --- what it says ------------------------------------------------------------------------------------


def read_launch(values: Mapping[str, Any], *, sub_may_be_any_text: bool = False) -> Launch:
    """Return what the claims *values* launch; raises ClaimRejected for the first that is not as HTI has it.

    A ``task`` makes it HTI 1.1, and what version 2.0 says elsewhere is not looked at then.  No ``hti-version`` is 2.0.
    """
    user = values.get("sub")
    if not sub_may_be_any_text or not isinstance(user, str) or not user:
        user = _text(values, "sub", _REFERENCE, "is no reference, Type/id")
    issuer, audience = values.get("iss"), _audience(values.get("aud"))
    if not isinstance(issuer, str):
        raise ClaimRejected("iss", "is not a text")
    jti = _text(values, "jti", _WORD, "is no short text")
    hint = _optional(values, "idp_hint", _HINT, "is no short text")
    version = values.get("hti-version", _VERSION)
    if version != _VERSION and not (version == "1.1" and "task" in values):
        got = version if isinstance(version, str) else type(version).__name__
        raise ClaimRejected("hti-version", "is not known here", expected=_VERSION, got=got)
    if "task" in values:
        resource, definition, patient, intent = _of_task(values["task"], user)
        return Launch(user, resource, definition, patient, intent, "1.1", issuer, audience, jti, hint)
    return Launch(
        user,
        _text(values, "resource", _REFERENCE, "is no reference, Type/id"),
        _definition(values, "definition"),
        _optional(values, "patient", _PATIENT, "is no reference, Patient/id"),
        _optional(values, "intent", _CODE, "is no code"),
        _VERSION,
        issuer,
        audience,
        jti,
        hint,
    )


def _of_task(task: object, user: str) -> tuple[str, str | None, str | None, str]:
    """Return resource, definition, patient and intent of a FHIR Task (HTI 1.1, Mapping of the FHIR task)."""
    if not isinstance(task, Mapping) or task.get("resourceType") != "Task":
        raise ClaimRejected("task", "is no FHIR Task")
    number = _text(task, "id", _TASK_ID, "has no id", of="task")
    _text(task, "status", _CODE, "has no status", of="task")
    intent = _text(task, "intent", _CODE, "has no intent", of="task")
    person = _referred(task, "for", _REFERENCE)
    if person is None:
        raise ClaimRejected("task", "says nothing of whom it is for")
    definition = _definition(task, "instantiatesCanonical", of="task")
    older = _referred(task, "definitionReference", _REFERENCE)  # FHIR STU3
    if definition is not None and older is not None:
        raise ClaimRejected("task", "has two definitions")
    patient = person if person != user and _PATIENT.fullmatch(person) else None
    return f"Task/{number}", definition or older, patient, intent


def _referred(task: Mapping[str, Any], member: str, shape: re.Pattern[str]) -> str | None:
    if member not in task:
        return None
    inner = task[member]
    if not isinstance(inner, Mapping):
        raise ClaimRejected("task", f"has a {member} that is no reference")
    return _text(inner, "reference", shape, f"has a {member} that is no reference, Type/id", of="task")


def _audience(audience: object) -> str:
    if isinstance(audience, list | tuple) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str):  # what is for two modules, the one could use at the other
        raise ClaimRejected("aud", "does not name one module alone", got=type(audience).__name__)
    return audience


def _text(values: Mapping[str, Any], claim: str, shape: re.Pattern[str], reason: str, *, of: str | None = None) -> str:
    text = values.get(claim)
    if not isinstance(text, str) or not shape.fullmatch(text):
        raise ClaimRejected(of or claim, reason if of or claim in values else "is required")
    return text


def _optional(values: Mapping[str, Any], claim: str, shape: re.Pattern[str], reason: str) -> str | None:
    return _text(values, claim, shape, reason) if claim in values else None


def _definition(values: Mapping[str, Any], claim: str, *, of: str | None = None) -> str | None:
    if claim not in values:
        return None
    text = values[claim]
    if isinstance(text, str) and (_URL.fullmatch(text) or _REFERENCE.fullmatch(text)):
        return text
    raise ClaimRejected(of or claim, "is neither a URL nor a reference, Type/id, to a definition")
