"""Sources: from a token that names a key to the key.  No I/O of their own: what they need, they ask for."""
