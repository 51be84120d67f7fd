# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a repository where there is none, and telling what one is."""

import os

from ..errors import KeyAccessError, RepositoryError
from ..repository import keys
from ..repository.open import open_store
from ..repository.repository import (
    DEFAULT_CHUNK_SIZE, FORMAT_VERSION, ROOT, RepositoryInfo, export_capture_credential, init_repository, open_repository, read_info)
from ..repository.slots import list_slots
from .opening import key_of, opened
from .options import KEY_SPEC
from .plain import plain
from .privatefile import ensure_private_file

KEY_FILE_SIZE = 32


def ensure_repository(options, check):
    """See that there is a repository which the key that `options` name opens; returns (changed, description, warnings).

    `options` are those of the module repository_init. With `check` nothing is written. Raises RepositoryError, KeyAccessError.
    """
    _refuse_contradiction(options)
    with open_store(options["repository"]) as store:
        made = not is_repository(store)
        if made:
            info = _make(store, options, check)
            if check:
                return True, describe(info), ()
        else:
            info = read_info(store)
            _refuse_difference(info, options, store.label)
        repository = open_repository(store, key_of(options))
        written = False
        if options["capture_credential_file"]:
            credential = export_capture_credential(repository).encode("ascii") + b"\n"
            written = ensure_private_file(options["capture_credential_file"], credential, check)
        return made or written, describe(info), tuple(store.notes)


def describe_repository(options):
    """(description, access, key slots) of a repository; access is "read", "capture" or "none". Raises RepositoryError, KeyAccessError."""
    with open_store(options["repository"]) as store:
        info = read_info(store)
        slots = [plain(slot) for slot in list_slots(store, info.id)] if info.encrypted else []
        key = key_of(options)
        if info.encrypted and isinstance(key, keys.NoKey):
            return describe(info), "none", slots
        return describe(info), "read" if open_repository(store, key).can_read else "capture", slots


def capture_credential(options):
    """The capture credential of the repository that `options` name. Raises RepositoryError, KeyAccessError."""
    with opened(options) as repository:
        return export_capture_credential(repository)


def describe(info):
    return {name: getattr(info, name) for name in ("id", "chunk_size", "encrypted", "created", "format_version")}


def is_repository(store):
    """True where there is a repository. Raises RepositoryError where something else is, or the place cannot be reached."""
    return store.examine() and store.size(ROOT) is not None


def _make(store, options, check):
    chunk_size = options["chunk_size"] or DEFAULT_CHUNK_SIZE
    if check:
        return RepositoryInfo("", FORMAT_VERSION, chunk_size, not options["unencrypted"], "", "", "")
    path = options["key_file"]
    if path and not os.path.exists(path):
        ensure_private_file(path, os.urandom(KEY_FILE_SIZE), check=False)
    return init_repository(store, key_of(options), chunk_size, encrypted=not options["unencrypted"])


def _refuse_contradiction(options):
    key = any(options.get(name) for name in KEY_SPEC)
    if options["unencrypted"] and (key or options["capture_credential_file"]):
        raise KeyAccessError("An unencrypted repository has no key and no capture credential: leave them out, or unencrypted.")
    if not options["unencrypted"] and not key:
        raise KeyAccessError("Give a passphrase, a key file or another key, or say that the repository is to be unencrypted.")


def _refuse_difference(info, options, label):
    if options["chunk_size"] and options["chunk_size"] != info.chunk_size:
        raise RepositoryError("The repository at {0} has chunks of {1} bytes, not of {2}; that cannot be changed.".format(
            label, info.chunk_size, options["chunk_size"]))
    if options["unencrypted"] and info.encrypted:
        raise KeyAccessError("The repository at {0} is encrypted; that cannot be changed. Give a key of it.".format(label))
