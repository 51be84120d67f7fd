# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps what must not be seen out of texts."""

SECRET_OPTIONS = ("passphrase", "recovery_key", "capture_credential")
HIDDEN = "********"


class Scrubber:
    """Replaces the secrets of a specification wherever they stand in a text."""

    def __init__(self, spec):
        values = [spec.get(name) for name in SECRET_OPTIONS]
        self._secrets = sorted((str(value) for value in values if value), key=len, reverse=True)

    def __call__(self, text):
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text
