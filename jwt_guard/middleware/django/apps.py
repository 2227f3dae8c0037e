"""``"jwt_guard.middleware.django"`` in INSTALLED_APPS → the settings are looked at by every ``manage.py`` command."""

from __future__ import annotations

from django.apps import AppConfig


class GuardConfig(AppConfig):
    """It has no models: to be installed is all it does, since that imports the checks."""

    name = "jwt_guard.middleware.django"
    label = "jwt_guard"
    verbose_name = "jwt_guard"
