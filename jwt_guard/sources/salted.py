"""The claims of a token → the one HMAC key it can be signed with, made by the user's own function."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..credentials import ReadOnly
from ..errors import Misconfigured, SaltFailed
from ..flow import Flow, call
from ..tokens.algorithms import HMAC
from ..tokens.keys import KeyUnusable, key_from_secret

if TYPE_CHECKING:
    from ..tokens.compact import UnverifiedToken
    from ..tokens.keys import Key

__all__ = ["SaltedKeys", "salted"]


@dataclass(frozen=True, slots=True)
class SaltedKeys:
    """A key source that asks *generate* for the secret of each token."""

    generate: Callable[[Mapping[str, Any]], object]
    shortest: int | None = None
    blocking: bool = False

    @property
    def algorithms(self) -> frozenset[str]:
        """Only HMAC, whatever the generator gives."""
        return frozenset(HMAC)

    def __call__(self, token: UnverifiedToken) -> Flow[Key]:
        """Return the key for *token*, or raise SaltFailed: whatever goes wrong in there, the token is refused."""
        try:
            # Nobody has vouched for these claims yet, and nobody may change what will be checked later.
            secret = yield from call(partial(_asked, self.generate), ReadOnly(token.values), blocking=self.blocking)
        except SaltFailed:
            raise
        except Exception as error:  # noqa: BLE001 - theirs to raise, and not one is a yes
            raise SaltFailed(f"the salt generator raised {_where(error)}") from None
        try:
            return key_from_secret(secret, shortest=self.shortest)
        except KeyUnusable as error:
            raise SaltFailed(f"the salt generator gave no key: {error}") from None


def salted(
    generate: Callable[[Mapping[str, Any]], object], *, shortest: int | None = None, blocking: bool = False
) -> SaltedKeys:
    """Return a source of one HMAC key per token: *generate* takes the claims and returns the secret.

    The claims are read-only and not yet verified.  *generate* may be ``async``; a plain one that waits
    (for a database, say) is *blocking*, so that an event loop gives it a thread.  *shortest* is the least
    length of a secret in bytes, instead of the hash length that RFC 7518 §3.2 asks for.
    """
    if not callable(generate):
        raise Misconfigured("salted() takes a function")
    if shortest is not None and shortest < 1:
        raise Misconfigured("salted: shortest is at least 1")
    return SaltedKeys(generate, shortest, blocking)


def _asked(generate: Callable[[Mapping[str, Any]], object], claims: Mapping[str, Any]) -> object:
    """Call *generate*, so that not even ``sys.exit()`` in there ends more than this token; Ctrl-C still does."""
    try:
        answer = generate(claims)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit, say
        raise SaltFailed(f"the salt generator raised {_where(error)}") from None
    return _awaited(answer) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Awaitable[object]) -> object:
    try:
        return await answer
    except SystemExit as error:  # the others of its family are how an event loop cancels
        raise SaltFailed(f"the salt generator raised {_where(error)}") from None


def _where(error: BaseException) -> str:
    """Return the type of *error* and its line: its own words may hold claims or the secret."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
