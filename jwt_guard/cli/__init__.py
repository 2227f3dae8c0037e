"""The command line: ``jwt-guard``, one file a command."""

from .commands import main

__all__ = ["main"]
