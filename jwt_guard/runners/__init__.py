"""Runners: they answer what flows ask for, one by blocking, one by awaiting."""
