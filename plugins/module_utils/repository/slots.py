# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key slots: the repository's secrets, wrapped once for each key that opens it.

A slot is a JSON object in `keys/slots/<random name>`; docs/format.md describes every field. A slot of an unknown type, or of another
repository (left by an interrupted init), is passed over. Which slots there ought to be is the keyring's concern, see keyring.py.
"""

import base64
import hashlib
import json
import os
import unicodedata
from typing import Dict, Iterator, NamedTuple, Optional, Tuple, Union

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from .commands import run_command
from .crypto import KEY_SIZE, NONCE_SIZE, AuthenticationError, hkdf, public_key, scrypt, seal, unseal
from .keys import KeyCommand, KeyFile, Passphrase, Secrets
from .store import ObjectStore

PREFIX = "keys/slots/"
_VERSION = 1
MAX_SLOT_SIZE = 64 << 10
_MIN_KEY_FILE = 32                       # bytes

# RFC 7914 and OWASP's password storage advice: 128 MiB and about half a second. FIPS mode refuses scrypt; then PBKDF2.
_SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
_PBKDF2 = {"iterations": 600000}
_MAX_SCRYPT_MEMORY = 1 << 30             # a reader refuses slots that would cost more than this,
_MAX_SCRYPT_WORK = 1 << 27               # n * r * p
_MAX_ITERATIONS = 20000000
_KINDS = {Passphrase: "passphrase", KeyFile: "key file", KeyCommand: "command"}
_LABELS = {"key-file": b"agnostic.recovery key file slot 1", "command": b"agnostic.recovery command slot 1"}
_TYPES = {Passphrase: ("scrypt", "pbkdf2-hmac-sha512"), KeyFile: ("key-file",), KeyCommand: ("command",)}


class SlotInfo(NamedTuple):
    """A key slot as listed: `name` is its object's name below keys/slots, `label` what its maker called it.

    `problem` says why it cannot be read; then only its name is known.
    """
    name: str
    label: str
    type: str
    created: str
    problem: str


class OpenSlot(NamedTuple):
    """A slot that a key has opened.

    `secrets` are those of the epoch that the slot was made in. `private_key` (X25519) opens what later epochs grant to the slot; its
    public key is the slot's recipient.
    """
    name: str
    secrets: Secrets
    private_key: bytes


def add_slot(store: ObjectStore, repository_id: str, secrets: Secrets, key, label: str, created: str, kdf: str = "") -> OpenSlot:
    """Wrap the secrets for `key` in a new slot. Durable on return.

    `kdf` forces "scrypt" or "pbkdf2-hmac-sha512" for a passphrase; by default scrypt where this host allows it. Raises KeyAccessError.
    """
    if not secrets.private_keys:
        raise KeyAccessError("Only who can read the repository can give access to it: the capture credential cannot.")
    check_new_key(key)
    fields = {"format_version": _VERSION, "repository": repository_id, "label": label, "created": created,
              "salt": _text(os.urandom(32)), "nonce": _text(os.urandom(NONCE_SIZE))}
    type_fields, secret = _type_fields(key, kdf)
    fields.update(type_fields)
    wrapping = _wrapping_key(fields, secret)
    private = _slot_private_key(wrapping, repository_id)
    fields["recipient"] = public_key(private).hex()
    plain = json.dumps({"id_key": _text(secrets.id_key), "index_key": _text(secrets.index_key),
                        "private_keys": [_text(private) for private in secrets.private_keys]}, sort_keys=True).encode("ascii")
    fields["wrapped"] = _text(seal(wrapping, _bytes(fields["nonce"]), _bound(fields), plain))
    content = json.dumps(dict(fields, checksum=_checksum(fields)), sort_keys=True, indent=1).encode("ascii") + b"\n"
    while True:
        name = os.urandom(8).hex()
        if store.put_new(PREFIX + name, content):
            return OpenSlot(name, secrets, private)


def list_slots(store: ObjectStore, repository_id: str) -> Iterator[SlotInfo]:
    """The slots of this repository, and those that are damaged."""
    for name in store.list(PREFIX):
        try:
            fields = _read(store, name)
        except DamagedObjectError as error:
            yield SlotInfo(name[len(PREFIX):], "", "", "", str(error))
            continue
        if fields.get("repository") == repository_id:
            label, kind, created = [str(fields.get(field, "")) for field in ("label", "type", "created")]
            yield SlotInfo(name[len(PREFIX):], label, kind, created, "")


def open_slots(store: ObjectStore, repository_id: str, key) -> OpenSlot:
    """The first slot that `key` opens. Raises KeyAccessError; says so when a slot is damaged."""
    failed = []
    fitting = 0
    for name in store.list(PREFIX):
        try:
            fields = _read(store, name)
        except DamagedObjectError as error:
            failed.append(str(error))
            continue
        if fields.get("repository") != repository_id or fields.get("type") not in _TYPES[type(key)]:
            continue
        fitting += 1
        try:
            opened = _open(name[len(PREFIX):], fields, key)
        except RepositoryError as error:         # damaged, or a derivation or command that this host refuses: another slot may do
            failed.append(str(error))
            continue
        if opened is not None:
            return opened
    kind = _KINDS[type(key)]
    if failed:
        raise KeyAccessError(f"No key slot opens with this {kind}; not every slot could be tried: {' '.join(failed)}")
    if not fitting:
        raise KeyAccessError(f"The repository has no key slot for a {kind}; use another kind of key.")
    raise KeyAccessError(f"The {kind} is wrong: it opens none of the repository's {fitting} key slot(s) for it.")


def open_slot(store: ObjectStore, repository_id: str, name: str, key) -> Optional[OpenSlot]:
    """One slot by its name; None when `key` does not open it. Raises DamagedObjectError, and KeyAccessError when a command fails."""
    fields = _read(store, PREFIX + name)
    if fields.get("repository") != repository_id or fields.get("type") not in _TYPES[type(key)]:
        return None
    return _open(name, fields, key)


def _open(name: str, fields: dict, key) -> Optional[OpenSlot]:
    """The opened slot, or None when the key is another."""
    try:
        wrapping = _wrapping_key(fields, _secret(fields, key))
        plain = unseal(wrapping, _bytes(fields["nonce"]), _bound(fields), _bytes(fields["wrapped"]))
    except AuthenticationError:
        return None
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise DamagedObjectError(f"The key slot {name} is damaged: {error}.") from error
    content = json.loads(plain.decode("ascii"))
    private_keys = tuple(_bytes(text) for text in content["private_keys"])
    secrets = Secrets(_bytes(content["id_key"]), _bytes(content["index_key"]), public_key(private_keys[0]), private_keys)
    return OpenSlot(name, secrets, _slot_private_key(wrapping, fields["repository"]))


def _read(store: ObjectStore, name: str) -> dict:
    data = store.get(name)
    try:
        if len(data) > MAX_SLOT_SIZE:
            raise ValueError("too large")
        fields = json.loads(data.decode("ascii"))
        if not isinstance(fields, dict) or fields.pop("checksum", "") != _checksum(fields):
            raise ValueError("its checksum does not match")
        return fields
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"The key slot {name} is damaged ({error}).") from error


def check_new_key(key) -> None:
    """Raise KeyAccessError when `key` cannot be given a slot."""
    if isinstance(key, Passphrase) and not key.text:
        raise KeyAccessError("The passphrase is empty.")
    if isinstance(key, KeyFile) and len(key.data) < _MIN_KEY_FILE:
        raise KeyAccessError(f"A key file needs at least {_MIN_KEY_FILE} random bytes, for example: "
                             "head -c 64 /dev/urandom > repository.key")
    if isinstance(key, KeyCommand) and not key.wrap:
        raise KeyAccessError("A key slot for a command needs a command that wraps a secret, beside the one that unwraps it.")
    if type(key) not in _KINDS:
        raise KeyAccessError("An encrypted repository needs a passphrase, a key file or a command.")


def _type_fields(key, kdf: str) -> Tuple[dict, bytes]:
    """The fields of a new slot that depend on its type, and the key's secret."""
    if isinstance(key, KeyCommand):
        # As text, because what wraps it may take nothing else; without a line's end.
        secret = os.urandom(KEY_SIZE)
        return {"type": "command", "blob": _text(run_command(key.wrap, base64.b64encode(secret)))}, secret
    if isinstance(key, KeyFile):
        fields = {"type": "key-file"}                           # type: Dict[str, Union[str, int]]
    elif kdf != "pbkdf2-hmac-sha512" and (kdf == "scrypt" or _scrypt_works()):
        fields = dict(_SCRYPT, type="scrypt")
    else:
        fields = dict(_PBKDF2, type="pbkdf2-hmac-sha512")
    return fields, _secret(fields, key)


def _scrypt_works() -> bool:
    try:
        return bool(scrypt(b"", b"", 2, 1, 1))
    except RepositoryError:
        return False


def _secret(fields: dict, key) -> bytes:
    """The bytes that the wrapping key is derived from. Raises KeyAccessError when a command does not give them."""
    if isinstance(key, KeyFile):
        return key.data
    if isinstance(key, KeyCommand):
        return _unwrapped(key, _bytes(fields["blob"]))
    return unicodedata.normalize("NFC", key.text).encode("utf-8")


def _wrapping_key(fields: dict, secret: bytes) -> bytes:
    """Derive the key that wraps the secrets. Refuses costs that would only exhaust this host."""
    if int(fields["format_version"]) > _VERSION:
        raise ValueError(f"it is of format {fields['format_version']}, which is newer than this version knows")
    salt = _bytes(fields["salt"])
    if fields["type"] in _LABELS:
        return hkdf(secret, salt, _LABELS[fields["type"]])
    if fields["type"] == "scrypt":
        n, r, p = int(fields["n"]), int(fields["r"]), int(fields["p"])
        memory = 128 * r * (n + p)
        if min(n, r, p) < 1 or memory > _MAX_SCRYPT_MEMORY or n * r * p > _MAX_SCRYPT_WORK:
            raise ValueError("its scrypt parameters are out of bounds")
        return scrypt(secret, salt, n, r, p)
    iterations = int(fields["iterations"])
    if not 1 <= iterations <= _MAX_ITERATIONS:
        raise ValueError("its iteration count is out of bounds")
    return hashlib.pbkdf2_hmac("sha512", secret, salt, iterations, KEY_SIZE)


def _unwrapped(key: KeyCommand, blob: bytes) -> bytes:
    """The secret of a command slot. Raises KeyAccessError."""
    try:
        secret = base64.b64decode(run_command(key.unwrap, blob).strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) != KEY_SIZE:
        raise KeyAccessError(f"The key command {key.unwrap[0]} did not print the secret that was wrapped, {KEY_SIZE} bytes as Base64: is "
                             "it the counterpart of the command that wrapped it?")
    return secret


def _slot_private_key(wrapping: bytes, repository_id: str) -> bytes:
    return hkdf(wrapping, bytes.fromhex(repository_id), b"zia/1 key slot recipient")


def _bound(fields: dict) -> bytes:
    """The associated data: every field but the wrapped text itself."""
    return b"agnostic.recovery key slot\0" + _canonical({name: value for name, value in fields.items() if name != "wrapped"})


def _checksum(fields: dict) -> str:
    """Tells an altered slot from a wrong key."""
    return hashlib.sha256(_canonical(fields)).hexdigest()


def _canonical(fields: dict) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)
