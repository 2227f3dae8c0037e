"""Tokens: from the bytes of a request to claims that a key has vouched for.  No I/O, no framework."""
