"""Configurations of gateways that ask us: one file a gateway, each with an ``export(plan)``."""
