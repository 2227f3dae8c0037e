"""The time a test wants → what guards and issuers take for the present."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """A clock that stands still until its test moves it; made to be the *clock* of guards and issuers."""

    def __init__(self, now: float | None = None) -> None:
        """Begin at *now*, in seconds since the epoch; None: at the present, which guards with no such clock share."""
        self._now = time.time() if now is None else float(now)

    def __call__(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self._now

    def __repr__(self) -> str:
        return f"Clock({self._now!r})"

    def forward(self, seconds: float) -> None:
        """Let *seconds* pass at once; ValueError where they are negative, since that is seldom meant."""
        if seconds < 0:
            message = "time goes forward; set() puts the clock to any time"
            raise ValueError(message)
        self._now += seconds

    def set(self, now: float) -> None:
        """Put the clock to *now*, in seconds since the epoch, earlier ones too."""
        self._now = float(now)
