"""Claims + SigningKey → a signed token, and an issuer that knows what each kind of token must say.

The algorithm is the key's.  What makes no sense in a token is a ValueError; no message repeats a claim, which may
name a person.
"""

from __future__ import annotations

import json
import json.encoder
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import urandom
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..tokens.compact import to_base64url

if TYPE_CHECKING:
    from .keyring import Keyring
    from .signing import SigningKey

__all__ = ["HTI_ALGORITHMS", "HTI_LONGEST", "Issuer", "sign"]

HTI_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""Those that every module has to know (HTI 2.0)."""
HTI_LONGEST = 300
"""Seconds that a launch token lives at most (HTI 2.0)."""
_LONGEST_SUBJECT = 255  # OpenID Connect Core §2
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{0,63}/[A-Za-z0-9.-]{1,64}")
_FHIR_VERSIONS = ("STU3", "R4", "R5")


def sign(
    key: SigningKey,
    claims: Mapping[str, Any],
    *,
    typ: str | None = "at+jwt",
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return *claims* as a compact JWS by *key* (RFC 7515 §7.1).

    *header* adds parameters; what the key and *typ* say cannot be said otherwise there (ValueError).
    """
    if header:
        if not {"alg", "kid", "typ"}.isdisjoint(header):
            message = "alg and kid come from the key, typ from its argument"
            raise ValueError(message)
        head = _encoded({**_parameters(key.alg, key.kid, typ), **header})
    else:
        head = _head(key.alg, key.kid, typ)
    signing_input = f"{head}.{_encoded(claims)}"
    return f"{signing_input}.{to_base64url(key.sign(signing_input.encode('ascii')))}"


def _parameters(alg: str, kid: str | None, typ: str | None) -> dict[str, str]:
    said = {"alg": alg, "kid": kid, "typ": typ}
    return {name: value for name, value in said.items() if value is not None}


@lru_cache(maxsize=64)  # an issuer writes the same header again and again
def _head(alg: str, kid: str | None, typ: str | None) -> str:
    return _encoded(_parameters(alg, kid, typ))


def _encoded(values: Mapping[str, Any]) -> str:
    return to_base64url(_to_json(values if isinstance(values, dict) else dict(values)).encode("utf-8"))


def _json_writer() -> Callable[[Any], str]:
    """Return what writes JSON in its shortest form, and refuses NaN and Infinity.

    json.dumps would make an encoder for each token, and ``encode`` makes its inner one, which for a short token
    takes as long as the writing: here it is made once, where there is one.
    """
    encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    make = vars(json.encoder).get("c_make_encoder")
    if make is None:
        return encoder.encode
    text = json.encoder.encode_basestring
    parts = make(None, encoder.default, text, None, ":", ",", False, False, False)  # noqa: FBT003 - it takes no names
    return lambda value: "".join(parts(value, 0))


_to_json = _json_writer()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, with which keys, and at what time."""

    url: str
    """The exact ``iss`` of its tokens, and where its documents are; for launch tokens it may be any text."""
    keyring: Keyring
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""

    def __post_init__(self) -> None:
        """Refuse an issuer without a name."""
        if not isinstance(self.url, str) or not self.url or self.url != self.url.strip():
            raise Misconfigured("issuer: its url is a text that is not empty")

    def access_token(
        self,
        subject: str,
        audience: str | Sequence[str],
        scope: str | Sequence[str],
        client_id: str,
        lifetime: int = 300,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> str:
        """Return an access token (RFC 9068 §2) that lives *lifetime* seconds from now.

        *claims* are further ones; one that this method sets is refused (ValueError), except ``jti``.
        """
        said: dict[str, Any] = {
            "iss": self.url,
            "sub": _text("subject", subject),
            "aud": _audience(audience),
            "client_id": _text("client_id", client_id),
            "scope": scope if isinstance(scope, str) else " ".join(scope),
        }
        if not said["scope"]:
            del said["scope"]  # RFC 9068 §2.2.3: only where there is one
        return self._signed(said, claims, lifetime, "at+jwt")

    def id_token(  # noqa: PLR0913 - OpenID Connect has that many
        self,
        subject: str,
        client: str,
        lifetime: int = 300,
        *,
        nonce: str | None = None,
        auth_time: float | None = None,
        azp: str | None = None,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> str:
        """Return an ID token (OpenID Connect Core §2) that tells *client* who has logged in.

        *nonce* is what the client sent, *auth_time* when the user logged in, in seconds since the epoch.  *claims*
        are further ones, ``fhirUser`` perhaps; one that this method sets is refused (ValueError), except ``jti``.
        """
        if not isinstance(subject, str) or not subject.isascii() or len(subject) > _LONGEST_SUBJECT:
            raise ValueError(f"subject is a text of at most {_LONGEST_SUBJECT} ASCII characters")
        said: dict[str, Any] = {"iss": self.url, "sub": _text("subject", subject), "aud": _text("client", client)}
        if nonce is not None:
            said["nonce"] = _text("nonce", nonce)
        if azp is not None:
            said["azp"] = _text("azp", azp)
        if auth_time is not None:
            if isinstance(auth_time, bool) or not 0 < auth_time <= self.clock():
                raise ValueError("auth_time is when somebody logged in, in seconds since the epoch")
            said["auth_time"] = int(auth_time)
        return self._signed(said, claims, lifetime, "JWT")

    def hti_launch(  # noqa: PLR0913 - two versions of HTI, and their claims
        self,
        subject: str,
        audience: str,
        resource: str | None = None,
        *,
        definition: str | None = None,
        patient: str | None = None,
        intent: str | None = None,
        task: Mapping[str, Any] | None = None,
        fhir_version: str | None = None,
        lifetime: int = HTI_LONGEST,
        longer_than_hti_allows: bool = False,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> str:
        """Return a token that launches a module for the user *subject* (``Practitioner/7``, say).

        With *resource*, the task as a reference (``Task/11``), that is HTI 2.0; with *task*, the FHIR resource
        itself, it is HTI 1.1.  *audience* is the module (at Koppeltaal ``Device/…``).  *claims* are further ones,
        ``idp_hint`` perhaps, but nothing that is personal.  Raises ValueError, also for a key whose algorithm not
        every module knows.
        """
        if self.keyring.current.alg not in HTI_ALGORITHMS:
            raise ValueError(f"HTI: a launch token is signed with one of {', '.join(HTI_ALGORITHMS)}")
        if (resource is None) == (task is None):
            raise ValueError("HTI: say either resource (HTI 2.0) or task (HTI 1.1)")
        said: dict[str, Any] = {"iss": self.url, "sub": _reference("subject", subject)}
        said["aud"] = _text("audience", audience)
        if task is None:
            if fhir_version is not None:
                raise ValueError("HTI: fhir_version goes with task (HTI 1.1)")
            said |= {"resource": _reference("resource", resource), "hti-version": "2.0"}
            said |= _context(definition, patient, intent)
        else:
            if _context(definition, patient, intent):
                raise ValueError("HTI: in version 1.1 the task says its definition, patient and intent")
            said["task"] = _task(task)
            if fhir_version is not None:
                said["fhir-version"] = _fhir_version(fhir_version)
        if lifetime > HTI_LONGEST and not longer_than_hti_allows:
            raise ValueError(f"HTI: a launch token lives {HTI_LONGEST} seconds at most")
        return self._signed(said, claims, lifetime, "JWT", ("fhir-version", "hti-version"))

    def token(self, claims: Mapping[str, Any], *, typ: str | None = "JWT", lifetime: int = 300) -> str:
        """Return a token of any kind: *claims*, with ``iss``, ``iat`` and ``exp`` set, and ``jti`` where it is not.

        *typ* says which kind it is, in its header; None: nothing says so.  Raises ValueError.
        """
        if typ is not None:
            _text("typ", typ)
        return self._signed({"iss": self.url}, claims, lifetime, typ)

    def _signed(
        self,
        said: dict[str, Any],
        claims: Mapping[str, Any],
        lifetime: int,
        typ: str | None,
        names: Sequence[str] = (),
    ) -> str:
        """Sign *said* and *claims*, which say nothing of what *said* does, nor the *names* that it left out."""
        if lifetime.__class__ is not int or lifetime < 1:
            raise ValueError("lifetime is a whole number of seconds, at least 1")
        plan = self.keyring.rotation
        if plan is not None and lifetime > plan.longest_token:
            raise ValueError("no token lives longer than the plan of the keyring says (longest_token)")
        said["iat"] = now = int(self.clock())
        said["exp"] = now + lifetime
        if claims:
            taken = {name for name in claims if name in said or name in names}
            if taken:
                raise ValueError(f"these claims have arguments of their own, or follow from them: {sorted(taken)}")
        said["jti"] = urandom(16).hex()
        said.update(claims)
        return sign(self.keyring.current, said, typ=typ)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is a text that is not empty")
    return value


def _audience(audience: str | Sequence[str]) -> str | list[str]:
    if isinstance(audience, str):
        return _text("audience", audience)
    several = [_text("audience", each) for each in audience]
    if not several:
        raise ValueError("audience: somebody is meant")
    return several


def _reference(name: str, value: object) -> str:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise ValueError(f"HTI: {name} is a reference, as in Task/11")
    return value


def _context(definition: str | None, patient: str | None, intent: str | None) -> dict[str, str]:
    """Return what HTI 2.0 says about a task beside its name."""
    said: dict[str, str] = {}
    if definition is not None:
        said["definition"] = _text("definition", definition)
    if patient is not None:
        said["patient"] = _reference("patient", patient)
    if intent is not None:
        said["intent"] = _text("intent", intent)
    return said


def _fhir_version(version: str) -> str:
    if _text("fhir_version", version).upper() not in _FHIR_VERSIONS:
        raise ValueError(f"HTI: fhir_version is one of {', '.join(_FHIR_VERSIONS)}")
    return version


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return *task* where it has what HTI 1.1 asks of it."""
    if not isinstance(task, Mapping) or task.get("resourceType", "Task") != "Task":
        raise ValueError("HTI: the task is a FHIR Task")
    for name in ("id", "status", "intent"):
        _text(f"HTI: {name} of the task", task.get(name))
    person = task.get("for")
    if not isinstance(person, Mapping) or not person:
        raise ValueError("HTI: the task says whom it is for")
    return dict(task)
