"""Testing: an issuer of your own for your tests, good or bad tokens from it, and a clock that you move.

The names here are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it: the pytest plugin is loaded in everybody's session
if TYPE_CHECKING:
    from . import faults
    from .clock import Clock
    from .faults import Answer, Exchange, Fault
    from .flaws import FLAWS, Flaw
    from .issuer import LocalIssuer
    from .minting import bearer, mint
    from .served import ServedIssuer

__all__ = [
    "FLAWS",
    "Answer",
    "Clock",
    "Exchange",
    "Fault",
    "Flaw",
    "LocalIssuer",
    "ServedIssuer",
    "bearer",
    "faults",
    "mint",
]

_HOMES = {
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
