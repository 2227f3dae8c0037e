"""Observers: they see each decision, once, and change nothing."""
