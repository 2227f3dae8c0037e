"""What is said of a configuration, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "Severity"]

Severity: TypeAlias = Literal["wrong", "risky"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change, or to think about."""

    severity: Severity
    """``wrong``: it cannot be used, or does not do what it says; ``risky``: it does, and should it?"""
    place: str
    """Dotted; empty for the file itself."""
    sentence: str
