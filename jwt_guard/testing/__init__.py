"""Testing: an issuer of your own, good or bad tokens, a clock that you move, callers, and attacks on your application.

The names here are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it: the pytest plugin is loaded in everybody's session
if TYPE_CHECKING:
    from . import faults
    from .as_user import AsUser, Caller, trusting
    from .attacks import Finding, Outcome, Report, attack
    from .clock import Clock
    from .corpus import ATTACKS
    from .faults import Answer, Exchange, Fault
    from .flaws import FLAWS, Flaw
    from .issuer import LocalIssuer
    from .minting import bearer, mint
    from .served import ServedIssuer

__all__ = [
    "ATTACKS",
    "FLAWS",
    "Answer",
    "AsUser",
    "Caller",
    "Clock",
    "Exchange",
    "Fault",
    "Finding",
    "Flaw",
    "LocalIssuer",
    "Outcome",
    "Report",
    "ServedIssuer",
    "attack",
    "bearer",
    "faults",
    "mint",
    "trusting",
]

_HOMES = {
    "as_user": ("AsUser", "Caller", "trusting"),
    "attacks": ("Finding", "Outcome", "Report", "attack"),
    "corpus": ("ATTACKS",),
    "clock": ("Clock",),
    "faults": ("Answer", "Exchange", "Fault"),
    "flaws": ("FLAWS", "Flaw"),
    "issuer": ("LocalIssuer",),
    "minting": ("bearer", "mint"),
    "served": ("ServedIssuer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name == "faults":
            return import_module(f"{__name__}.faults")  # which puts itself here
        home = _HOME_OF.get(name)
        if home is None:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
