"""Provider: whose tokens, which keys, which rules, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import Misconfigured, shown
from ..flow import Flow
from ..sources.discovery import discovered
from ..sources.introspection import Introspection
from ..tokens import claims
from ..tokens.algorithms import ASYMMETRIC, HMAC
from ..tokens.compact import UnverifiedToken
from ..tokens.keys import Key
from .identity import ClaimNames, Reader, reader
from .once import Once
from .opaque import rules_about_jwts, rules_of_answers

if TYPE_CHECKING:
    from ..tokens.claims import Rule
    from ..tokens.compact import Header
    from ..tokens.verify import KeyIssuer

__all__ = ["KeySource", "Provider"]

KeySource: TypeAlias = Callable[[UnverifiedToken], "Key | Flow[Key]"]
"""Gives the key that a token means, at once or by a flow; raises UnknownKey or KeysUnavailable.

It may have a method ``rules_out(header) -> bool``, which says without waiting that no token with this header
can be good, and an attribute ``algorithms``, the most that it can ever give keys for.  With a true ``remembered``
what its keys vouch for may be held; then ``watch(method)``, ``holds(key)`` and ``settled_for()``, if it has them,
say how long (see :class:`~jwt_guard.sources.jwks.RemoteKeys`).
"""

_MOST_LEEWAY = 300
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Provider:
    """Whose tokens are taken, and what must hold of them.

    Everything is checked when it is made; raises Misconfigured.
    """

    name: str
    """What credentials and logs call it."""
    issuer: str | Sequence[str]
    """The exact ``iss``, or several."""
    audience: str | Sequence[str]
    """The exact ``aud`` that means us, or several."""
    keys: KeySource | None = None
    """Where its keys are; None: discovered from the issuer."""
    algorithms: Sequence[str] | None = None
    """Which algorithms it may use; None: every one that its keys can (HMAC only with secrets)."""
    leeway: float = 30
    """Seconds that two clocks may differ."""
    typ: Sequence[str | None] | None = None
    """Which ``typ`` a token must have, None among them for a token without; None: what access tokens have, or none."""
    max_age: float | None = None
    """Seconds after ``iat`` that a token is taken at most."""
    required: Sequence[str] = ()
    """Claims that must be there."""
    claims: ClaimNames = ClaimNames()
    """Which claims say who and what."""
    is_machine: Callable[[Any], bool] | None = None
    """Says of claims whether they name a machine rather than a person, where their names do not tell."""
    extra_rules: Sequence[Rule] = ()
    """What else must hold."""
    audience_claim: str = "aud"
    """The claim that is compared with *audience*."""
    kind: Rule | None = None
    """What kind of token it must be; None: an access token, or one that says of itself nothing else."""
    key_issuer: KeyIssuer | None = None
    """Says of the ``issuer`` that a key has in its set, or None, and of the claims, whether the key may vouch for
    them: for sets that several issuers share.  None: any key of the source may."""
    exp_may_be_missing: bool = False
    """Whether a token without ``exp`` is taken, which never ends."""
    once: Once | None = None
    """Holds which of its tokens were used, where each counts once (by ``iss`` and ``jti``)."""
    remember: bool | None = None
    """Whether a verdict may be held while its rules hold; None: where the keys are public, since a secret that is
    generated for each token takes that token back by changing."""
    introspection: Introspection | None = None
    """Asks the issuer about tokens that only it can read, and about the others, too, where that is said there."""
    issuers: frozenset[str] = field(init=False, repr=False)
    rules: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """What must hold, one by one: for whoever wants to see each of them."""
    demands: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """The same in fewer steps: what a guard asks."""
    of_answers: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """What must hold of what the issuer says about an opaque token; nothing where it is not asked."""
    about_jwts: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """What must hold of what it says about a signed token, beside that it is active."""
    asked_about_jwts: Introspection | None = field(init=False, repr=False, compare=False)
    every_time: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """Those of the rules that are asked again on each request."""
    is_remembered: bool = field(init=False, repr=False, compare=False)
    read: Reader = field(init=False, repr=False, compare=False)
    source: KeySource = field(init=False, repr=False, compare=False)
    allowed: frozenset[str] = field(init=False, repr=False)
    source_rules_out: Callable[[Header], bool] = field(init=False, repr=False, compare=False)
    """Says whether no token with this header can be good, as far as the source can tell without waiting."""

    def __post_init__(self) -> None:
        """Check everything, and prepare what requests need."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise Misconfigured(f"provider {shown(self.name)}: a name is letters, digits, dots, dashes and underscores")
        self._set("issuers", self._texts("issuer", self.issuer))
        audiences = self._texts("audience", self.audience)
        if not _is_number(self.leeway) or not 0 <= self.leeway <= _MOST_LEEWAY:
            raise self._wrong(f"leeway is 0 to {_MOST_LEEWAY} seconds")
        if self.max_age is not None and not (_is_number(self.max_age) and self.max_age > 0):
            raise self._wrong("max_age is a number of seconds above 0")
        types = claims.ACCESS_TOKEN_TYPES if self.typ is None else self._types(self.typ)
        required = self._texts("required", self.required) if self.required else frozenset()
        if self.once is not None:
            required |= {"jti"}
        if self.keys is not None and not callable(self.keys):
            raise self._wrong("keys is a source of keys: fixed(), jwks(), salted(), or a function of the token")
        if not isinstance(self.claims, ClaimNames):
            raise self._wrong("claims is ClaimNames(...)")
        if not all(isinstance(rule, claims.Rule) for rule in self.extra_rules):
            raise self._wrong("extra_rules are rules")
        if not (self.kind is None or isinstance(self.kind, claims.Rule)):
            raise self._wrong("kind is a rule")
        if not (self.key_issuer is None or callable(self.key_issuer)):
            raise self._wrong("key_issuer is a function of an issuer and claims")
        if not isinstance(self.exp_may_be_missing, bool):
            raise self._wrong("exp_may_be_missing is True or False")
        self._set("source", discovered(self.issuers) if self.keys is None else self.keys)
        self._set("allowed", self._allowed())
        self._set("source_rules_out", getattr(self.source, "rules_out", _never))
        self._set("read", reader(self.claims, self.is_machine))
        usual, all_of_them = claims.usual(
            types=types,
            issuers=self.issuers,
            audiences=audiences,
            leeway=self.leeway,
            audience_claim=self.audience_claim,
            kind=self.kind,
            exp_may_be_missing=self.exp_may_be_missing,
        )
        more = (*(claims.has(name) for name in sorted(required)), *self.extra_rules)
        if self.max_age is not None:
            more = (*more, claims.no_older_than(self.max_age, self.leeway))
        self._set("rules", (*usual, *more))
        self._set("demands", (all_of_them, *more))
        self._set("of_answers", self._of_answers(audiences, more))
        self._set("about_jwts", rules_about_jwts(self.issuers, self.leeway))
        asks = self.introspection is not None and self.introspection.jwts
        self._set("asked_about_jwts", self.introspection if asks else None)
        self._set("every_time", tuple(rule for rule in self.rules if rule.every_time))
        self._set("is_remembered", self._may_remember())

    @property
    def has_lasting_keys(self) -> bool:
        """Whether one key vouches for many tokens; else each token has its own."""
        return bool(getattr(self.source, "remembered", False))

    def settled_for(self) -> float:
        """Return for how many seconds the source need not be asked again for a key that it has just given."""
        ask: Callable[[], float] | None = getattr(self.source, "settled_for", None)
        return claims.FOREVER if ask is None else ask()

    def holds(self, key: Key) -> bool:
        """Say whether *key*, which the source has given, still counts."""
        ask: Callable[[Key], bool] | None = getattr(self.source, "holds", None)
        return ask is None or ask(key)

    def watch(self, taken_out: Callable[[Key], None]) -> None:
        """Have *taken_out*, a method, called with each key that counts no longer."""
        tell: Callable[[Callable[[Key], None]], None] | None = getattr(self.source, "watch", None)
        if tell is not None:
            tell(taken_out)

    def _of_answers(self, audiences: frozenset[str], more: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if self.introspection is None:
            return ()
        if not isinstance(self.introspection, Introspection):
            raise self._wrong("introspection is introspection(...)")
        if self.once is not None:
            raise self._wrong("a token that counts once is not asked about: what its issuer says is kept for a while")
        rules = rules_of_answers(
            self.introspection,
            issuers=self.issuers,
            audiences=audiences,
            leeway=self.leeway,
            audience_claim=self.audience_claim,
            kind=self.kind,
        )
        return (*rules, *more)

    def _may_remember(self) -> bool:
        if not (self.remember is None or isinstance(self.remember, bool)):
            raise self._wrong("remember is True, False or None")
        if not (self.once is None or isinstance(self.once, Once)):
            raise self._wrong("once is Once(...)")
        if self.once is not None and self.remember:
            raise self._wrong("a token that counts once is not remembered")
        return self.once is None and (self.has_lasting_keys if self.remember is None else self.remember)

    def _allowed(self) -> frozenset[str]:
        possible: frozenset[str] = getattr(self.source, "algorithms", ASYMMETRIC)
        if self.algorithms is None:
            allowed = possible
        else:
            allowed = self._texts("algorithms", self.algorithms)
            unknown = allowed - ASYMMETRIC - HMAC.keys()
            if unknown:
                raise self._wrong(f"algorithms {shown(sorted(unknown))} are not known here")
            if not allowed <= possible:
                raise self._wrong(f"algorithms {shown(sorted(allowed - possible))} do not fit its keys")
        if allowed & HMAC.keys() and allowed - HMAC.keys():
            raise self._wrong("HMAC and public keys do not mix: whoever can check the one could sign for the other")
        return allowed

    def _texts(self, what: str, value: str | Sequence[str]) -> frozenset[str]:
        texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence | frozenset) else ()
        if not texts or not all(isinstance(text, str) and text and text == text.strip() for text in texts):
            raise self._wrong(f"{what} is a text that is not empty, or a list of such")
        if what in ("issuer", "audience") and "*" in texts:
            raise self._wrong(f"{what} is compared exactly: '*' would be nobody's name")
        return frozenset(texts)

    def _types(self, typ: str | Sequence[str | None]) -> frozenset[str | None]:
        if isinstance(typ, str) or not isinstance(typ, Sequence | frozenset) or None not in typ:
            return frozenset(self._texts("typ", typ))  # type: ignore[arg-type]  # which is checked there
        named = [name for name in typ if name is not None]
        return frozenset({None, *(self._texts("typ", named) if named else ())})

    def _wrong(self, reason: str) -> Misconfigured:
        return Misconfigured(f"provider {self.name}: {reason}")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _never(_header: Header) -> bool:
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
