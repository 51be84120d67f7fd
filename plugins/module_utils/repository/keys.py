# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What opens a repository: the keys an operator holds, and the secrets they give access to.

Every way in opens the same secrets. A reader's way (passphrase, key file, command) goes through a key slot, see slots.py; the
capture credential is the part of the secrets that a source may hold, as text.
"""

import base64
import binascii
import hashlib
import json
from typing import NamedTuple, Tuple, Union

from ..errors import KeyAccessError
from .crypto import KEY_SIZE

_CREDENTIAL_PREFIX = "dr-capture-1:"


class Passphrase(NamedTuple):
    """Opens a passphrase slot; may read."""
    text: str


class KeyFile(NamedTuple):
    """The bytes of a key file; opens a key-file slot; may read."""
    data: bytes


class KeyCommand(NamedTuple):
    """Opens a command slot with what a key service or token unwraps; may read. See commands.py.

    `unwrap` and `wrap` are programs with their arguments; `wrap` is needed only to make the slot. A passphrase that a command prints is
    a Passphrase.
    """
    unwrap: Tuple[str, ...]
    wrap: Tuple[str, ...] = ()


class CaptureCredential(NamedTuple):
    """One line of text from `export_capture_credential`. Lets a source write, find duplicates and read indexes, never data."""
    text: str


class NoKey(NamedTuple):
    """For unencrypted repositories."""


Key = Union[Passphrase, KeyFile, KeyCommand, CaptureCredential, NoKey]


class Secrets(NamedTuple):
    """What the key slots protect. `private_keys` is empty for a source that holds only the capture credential."""
    id_key: bytes                        # HMAC key of chunk ids
    index_key: bytes                     # root of the keys of index pages and manifests
    public_key: bytes                    # X25519, of the newest epoch; data keys are sealed to it
    private_keys: Tuple[bytes, ...]      # X25519, one for each epoch, the newest first


def write_credential(repository_id: str, secrets: Secrets) -> str:
    """The capture credential of a repository: one line of text. A secret, though it opens no stored data."""
    fields = {"repository": repository_id, "id_key": secrets.id_key.hex(), "index_key": secrets.index_key.hex(),
              "public_key": secrets.public_key.hex()}
    body = base64.urlsafe_b64encode(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")).decode("ascii")
    return f"{_CREDENTIAL_PREFIX}{body}:{_checksum(body)}"


def read_credential(credential: CaptureCredential, repository_id: str) -> Secrets:
    """Undo `write_credential`. Raises KeyAccessError when the text is damaged or belongs to another repository."""
    text = credential.text.strip()
    body, _colon, checksum = text[len(_CREDENTIAL_PREFIX):].partition(":")
    if not text.startswith(_CREDENTIAL_PREFIX):
        raise KeyAccessError(f"This is not a capture credential: it must begin with {_CREDENTIAL_PREFIX}")
    if checksum != _checksum(body):
        raise KeyAccessError("The capture credential is damaged or cut short; export it again from a host that holds a reading key.")
    try:
        fields = json.loads(base64.urlsafe_b64decode(body.encode("ascii")).decode("ascii"))
        found = fields["repository"]
        secrets = Secrets(bytes.fromhex(fields["id_key"]), bytes.fromhex(fields["index_key"]), bytes.fromhex(fields["public_key"]), ())
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise KeyAccessError("The capture credential cannot be read; export it again with this version.")
    if found != repository_id:
        raise KeyAccessError(f"The capture credential belongs to repository {found}, not to this one ({repository_id}).")
    if {len(secrets.id_key), len(secrets.index_key), len(secrets.public_key)} != {KEY_SIZE}:
        raise KeyAccessError("The capture credential holds keys of a wrong length; export it again with this version.")
    return secrets


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()[:8]
