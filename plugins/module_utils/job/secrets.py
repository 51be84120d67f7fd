# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps what must not be seen out of texts."""

SECRET_OPTIONS = (
    "passphrase", "recovery_key", "capture_credential", "secret_key", "session_token", "password", "application_credential_secret")
HIDDEN = "********"


class Scrubber:
    """Replaces the secrets of a specification, those of its parts included, wherever they stand in a text."""

    def __init__(self, spec):
        self._secrets = sorted(set(_secrets(spec)), key=len, reverse=True)

    def __call__(self, text):
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _secrets(options):
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _secrets(value)
        elif name in SECRET_OPTIONS and value:
            yield str(value)
