"""What was found out about a provider, its keys, or where they are kept → values to show to people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ...sources.key_state import KeyState

__all__ = ["Examined", "Finding", "Verdict"]

Verdict: TypeAlias = Literal["ok", "risky", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and how it is."""

    verdict: Verdict
    """``failed``: good tokens are refused for it, or bad ones could be let in; ``risky``: all is well for now."""
    about: str
    """One word: ``metadata``, ``keys``, ``clock``, …"""
    sentence: str
    advice: str | None = None
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One provider."""

    name: str
    findings: tuple[Finding, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    """What programs may want to compare: JSON values."""
    state: KeyState | None = None
    """How its keys are in this process, which has just asked for them."""

    @property
    def usable(self) -> bool:
        """Whether good tokens of this provider are let in, and only those."""
        return not any(finding.verdict == "failed" for finding in self.findings)
