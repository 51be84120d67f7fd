# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options that name a repository and its key to the open repository."""

from contextlib import contextmanager

from ..errors import KeyAccessError
from ..repository import keys
from ..repository.commands import passphrase_from
from ..repository.open import open_store
from ..repository.recovery_key import read_recovery_key
from ..repository.repository import open_repository


def key_of(options):
    """The key that `options` name; `NoKey` if they name none. Raises KeyAccessError if a key file or command does not give it."""
    if options.get("passphrase"):
        return keys.Passphrase(options["passphrase"])
    if options.get("passphrase_command"):
        return passphrase_from(options["passphrase_command"])
    if options.get("key_file"):
        return keys.KeyFile(_read_key_file(options["key_file"]))
    if options.get("recovery_key"):
        return read_recovery_key(options["recovery_key"])
    if options.get("key_command"):
        return keys.KeyCommand(tuple(options["key_command"]), tuple(options.get("wrap_command") or ()))
    if options.get("capture_credential"):
        return keys.CaptureCredential(options["capture_credential"])
    return keys.NoKey()


@contextmanager
def opened(options):
    """The repository that `options` name, open while the context lasts. Raises RepositoryError, KeyAccessError."""
    with open_store(options["repository"]) as store:
        yield open_repository(store, key_of(options))


def _read_key_file(path):
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise KeyAccessError("The key file {0} cannot be read: {1}.".format(path, error.strerror))
