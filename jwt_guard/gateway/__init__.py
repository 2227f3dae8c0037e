"""The gateway: the guard as a service of its own, in front of applications that know nothing of it."""
