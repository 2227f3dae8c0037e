"""Records of the log → lines on standard error, for people or as JSON for programs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

__all__ = ["JsonLines", "Kind", "log_to_standard_error"]

Kind = Literal["json", "text"]


class JsonLines(logging.Formatter):
    """A record → one line of JSON: ``time`` (UTC), ``level``, ``message``; of a refusal ``id`` and ``error``, too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("id", "error"):
            value = getattr(record, f"jwt_guard_{name}", None)
            if value is not None:
                said[name] = value
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)


def log_to_standard_error(kind: Kind) -> None:
    """Have what we have to say go to standard error: refusals, too, each with its id."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("jwt_guard")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
