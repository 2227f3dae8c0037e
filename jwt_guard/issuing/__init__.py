"""Issuing: the other side of the guard, from keys made and published to tokens signed with them."""
