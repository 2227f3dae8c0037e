"""Stores: what processes share, and what outlives them, at a server or in a folder."""
