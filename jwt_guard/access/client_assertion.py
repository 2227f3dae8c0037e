"""What is registered of a client → a Provider of its assertions: JWTs by which it says, once each, that it is itself.

RFC 7523 §3, as SMART App Launch 2.2 (client-confidential-asymmetric) has it.  Whoever takes client assertions is an
authorization server, or asks for them as one does; an assertion is no access token, and no API should take one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ClaimRejected, Misconfigured, UnknownKey, shown
from ..sources.fixed import FixedKeys, fixed
from ..sources.jwks import KeySettings, RemoteKeys, jwks
from ..tokens.algorithms import ASYMMETRIC, ED25519, ML_DSA, RSA
from ..tokens.claims import FOREVER, Rule
from ..tokens.keys import Key
from .identity import ClaimNames
from .once import Once
from .provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from ..flow import Flow
    from ..sources.key_state import KeyState
    from ..tokens.claims import Statement
    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import KeySet

__all__ = ["LONGEST", "NamedKeys", "client_assertion"]

LONGEST = 300
"""Seconds that an assertion may be ahead of its ``exp``."""

_KEPT = KeySettings(fresh_for=60, usable_for=60)
"""A key that a client takes out counts no longer than this; its ``Cache-Control`` cannot ask for less than a minute."""


def client_assertion(  # noqa: PLR0913 - what is registered, and what the server asks of everybody
    client_id: str,
    audience: str | Sequence[str],
    *,
    jwks: Mapping[str, Any] | str | bytes | Path | None = None,
    jwks_url: str | None = None,
    once: Once | None = None,
    name: str = "client_assertion",
    settings: KeySettings | None = None,
    several_audiences_are_taken: bool = False,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the assertions of one client.

    *audience* are the URLs that mean this server: that of the token endpoint, and others that clients use for it.
    The keys are in *jwks*, in hand, or at *jwks_url*, which is also the only ``jku`` that is taken.  *once* holds
    which assertions were used; without it they are held in this process alone.  An assertion that names other
    servers beside this one could be used at each of them, so it is refused unless *several_audiences_are_taken*.
    Raises Misconfigured.
    """
    if (jwks is None) == (jwks_url is None):
        raise Misconfigured(f"provider {name}: the keys of a client are in jwks, or at jwks_url")
    if jwks is not None and settings is not None:
        raise Misconfigured(f"provider {name}: settings are for keys at jwks_url")
    source = _in_hand(jwks) if jwks is not None else _published(jwks_url or "", settings or _KEPT)
    leeway = more.setdefault("leeway", 30)
    rules = [_typ(), _kid(), _jku(jwks_url), _soon_over(leeway)]
    if not several_audiences_are_taken:
        rules.append(_one_audience())
    return Provider(
        name=name,
        issuer=client_id,
        audience=audience,
        keys=source,
        kind=_about_itself(),
        claims=ClaimNames(user=(), client=("iss",), scopes=(), roles=()),
        once=Once() if once is None else once,
        extra_rules=(*rules, *more.pop("extra_rules", ())),
        **more,
    )


def _in_hand(material: Mapping[str, Any] | str | bytes | Path) -> NamedKeys:
    source = fixed(material)
    named = [key for key in source.keys.keys if key.kid is not None and not ASYMMETRIC.isdisjoint(key.verifiers)]
    if not named:
        raise Misconfigured("client keys: not one is a public key with a kid, which assertions name")
    return NamedKeys(source)


def _published(url: str, settings: KeySettings) -> NamedKeys:
    return NamedKeys(jwks(url, settings))


# --- its keys ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NamedKeys:
    """A source of the one key that has the very name in the token, and its type: where two have, none is meant."""

    source: FixedKeys | RemoteKeys

    @property
    def algorithms(self) -> frozenset[str]:
        """Only public keys: what is registered is not secret."""
        return self.source.algorithms & ASYMMETRIC

    @property
    def keys(self) -> KeySet | None:
        """The set as it is known now."""
        return self.source.keys

    def __call__(self, token: UnverifiedToken) -> Key | Flow[Key]:
        """Return the key that *token* means; raises UnknownKey, or KeysUnavailable where nobody can tell."""
        found = self.source(token)
        return self._checked(found, token) if isinstance(found, Key) else self._waited_for(found, token)

    def rules_out(self, header: Header) -> bool:
        """Say whether no key is meant by *header*, as far as that is known without waiting."""
        return self.source.rules_out(header)

    def state(self) -> KeyState:
        """Return what there is to see of it."""
        return self.source.state()

    def _waited_for(self, wait: Flow[Key], token: UnverifiedToken) -> Flow[Key]:
        return self._checked((yield from wait), token)

    def _checked(self, key: Key, token: UnverifiedToken) -> Key:
        if key.kid is None or key.kid != token.kid:
            raise UnknownKey(token.kid, token.alg, "no key has this very name")
        wanted = _kty(token.alg)
        known = self.source.keys
        listed = () if known is None else known.keys
        if sum(each.kid == key.kid and wanted in map(_kty, each.verifiers) for each in listed) > 1:
            raise UnknownKey(token.kid, token.alg, "two keys of one type have this name")
        return key


def _kty(alg: str) -> str:
    """Return the type of the keys that *alg* takes (RFC 7518 §6.1, RFC 8037 §2, RFC 9964)."""
    return "RSA" if alg in RSA else "OKP" if alg in ED25519 else "AKP" if alg in ML_DSA else "EC"


# --- its rules ---------------------------------------------------------------------------------------


def _typ() -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        typ = statement.header.typ
        if typ != "JWT":
            raise ClaimRejected("typ", "is another kind of token, or none", expected="JWT", got=typ)
        return FOREVER

    return Rule("typ", "the type is exactly JWT", holds_until)


def _kid() -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        if not statement.header.kid:
            raise ClaimRejected("kid", "is required")
        return FOREVER

    return Rule("kid", "the key is named", holds_until)


def _jku(registered: str | None) -> Rule:
    """Demand that a ``jku`` is the *registered* URL: what a token itself says, nobody ever fetches."""

    def holds_until(statement: Statement, _now: float) -> float:
        if "jku" in statement.header.values and (registered is None or statement.header.values["jku"] != registered):
            raise ClaimRejected("jku", "is not the registered URL")
        return FOREVER

    where = "there is no jku, since no URL is registered" if registered is None else f"a jku is {shown(registered)}"
    return Rule("jku", where, holds_until)


def _about_itself() -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        values = statement.values
        subject = values.get("sub")
        if not isinstance(subject, str) or subject != values.get("iss"):
            raise ClaimRejected("sub", "is not the client that issued it")
        return FOREVER

    return Rule("sub", "a client speaks of itself: sub is iss", holds_until)


def _one_audience() -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        audience = statement.values.get("aud")
        if isinstance(audience, list) and len(audience) > 1:
            raise ClaimRejected("aud", "names others, too, who could use it here")
        return FOREVER

    return Rule("aud", "it is for nobody else", holds_until)


def _soon_over(leeway: float) -> Rule:
    def holds_until(statement: Statement, now: float) -> float:
        expires = statement.values.get("exp")
        if not isinstance(expires, int | float) or expires > now + LONGEST + leeway:
            expected = f"at most {now + LONGEST + leeway:.0f}"
            raise ClaimRejected("exp", "is more than five minutes ahead", expected=expected, got=expires)
        return FOREVER

    return Rule("exp", f"it ends within {LONGEST} s (± {leeway} s)", holds_until)
