"""A key source, at one moment → what there is to see of it: for people, for readiness checks and for metrics."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KeyState"]


@dataclass(frozen=True, slots=True)
class KeyState:
    """How the keys of one provider are; times in seconds from now."""

    usable: bool
    """Whether tokens can be verified: with keys that are not there for good, whether there are any now.

    Before the first token there are none, and nothing is wrong: ``age`` and ``last_error`` are None then.
    """
    keys: int
    """How many can be used."""
    skipped: int = 0
    """How many are published, but cannot be used here."""
    age: float | None = None
    """Since when the set is ours; None where there is none, and for keys that never change."""
    stale: bool = False
    """Whether the set is older than its issuer, or ``fresh_for``, allows, and used for want of a newer one."""
    next_refresh: float | None = None
    """When the issuer is to be asked again, if there are requests then; 0: with the next one."""
    usable_until: float | None = None
    """When the set is given up, if the issuer fails until then."""
    refreshing: bool = False
    """Whether the issuer is being asked now."""
    last_error: str | None = None
    """Why the last fetch failed; None where it did not."""
    unknown_keys_per_minute: float = 0.0
    """How many tokens of late named a key that nobody knows."""
