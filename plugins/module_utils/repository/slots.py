# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key slots: the repository's secrets, wrapped once for each key that opens it.

A slot is a JSON object in `keys/slots/<random name>`; docs/format.md describes every field. Slots are added and removed without
touching data. A slot of an unknown type, or of another repository (left by an interrupted init), is passed over.
"""

import base64
import hashlib
import json
import os
import unicodedata
from typing import Iterator, NamedTuple, Optional

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from .crypto import KEY_SIZE, NONCE_SIZE, AuthenticationError, hkdf, public_key, scrypt, seal, unseal
from .keys import KeyFile, Passphrase, Secrets
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


class SlotInfo(NamedTuple):
    """A key slot as listed: `object` is its name in the store, `label` what its maker called it."""
    object: str
    label: str
    type: str
    created: str


def add_slot(store: ObjectStore, repository_id: str, secrets: Secrets, key, label: str, created: str, kdf: str = "") -> str:
    """Wrap the secrets for `key` (Passphrase or KeyFile) in a new slot; the name of its object. Durable on return.

    `kdf` forces "scrypt" or "pbkdf2-hmac-sha512" for a passphrase; by default scrypt where this host allows it.
    """
    if not secrets.private_keys:
        raise KeyAccessError("Only who can read the repository can give access to it: the capture credential cannot.")
    check_new_key(key)
    fields = {"format_version": _VERSION, "repository": repository_id, "label": label, "created": created,
              "salt": _text(os.urandom(32)), "nonce": _text(os.urandom(NONCE_SIZE))}
    fields.update(_choose_kdf(key, kdf))
    wrapping = _wrapping_key(fields, key)
    plain = json.dumps({"id_key": _text(secrets.id_key), "index_key": _text(secrets.index_key),
                        "private_keys": [_text(private) for private in secrets.private_keys]}, sort_keys=True).encode("ascii")
    fields["wrapped"] = _text(seal(wrapping, _bytes(fields["nonce"]), _bound(fields), plain))
    while True:
        name = PREFIX + os.urandom(8).hex()
        if store.put_new(name, json.dumps(dict(fields, checksum=_checksum(fields)), sort_keys=True, indent=1).encode("ascii") + b"\n"):
            return name


def list_slots(store: ObjectStore, repository_id: str) -> Iterator[SlotInfo]:
    """The slots of this repository. Raises DamagedObjectError for one that cannot be read."""
    for name in store.list(PREFIX):
        fields = _read(store, name)
        if fields.get("repository") == repository_id:
            yield SlotInfo(name, str(fields.get("label", "")), str(fields.get("type", "")), str(fields.get("created", "")))


def remove_slot(store: ObjectStore, repository_id: str, name: str) -> None:
    """Remove one slot, but never the last."""
    names = [slot.object for slot in list_slots(store, repository_id)]
    if name not in names:
        raise RepositoryError(f"There is no key slot {name}.")
    if len(names) == 1:
        raise RepositoryError("This is the last key slot: without it nobody could read the repository. Add another one first.")
    store.delete(name)


def open_slots(store: ObjectStore, repository_id: str, key) -> Secrets:
    """The secrets, from the first slot that `key` opens. Raises KeyAccessError; says so when a slot is damaged."""
    failed = []
    fitting = 0
    for name in store.list(PREFIX):
        try:
            fields = _read(store, name)
        except DamagedObjectError as error:
            failed.append(str(error))
            continue
        if fields.get("repository") != repository_id or not _fits(fields, key):
            continue
        fitting += 1
        try:
            secrets = _open(fields, key)
        except RepositoryError as error:         # damaged, or a derivation that this host refuses: another slot may do
            failed.append(str(error))
            continue
        if secrets is not None:
            return secrets
    kind = "passphrase" if isinstance(key, Passphrase) else "key file"
    if failed:
        raise KeyAccessError(f"No key slot opens with this {kind}; not every slot could be tried: {' '.join(failed)}")
    if not fitting:
        raise KeyAccessError(f"The repository has no key slot for a {kind}; use another kind of key.")
    raise KeyAccessError(f"The {kind} is wrong: it opens none of the repository's {fitting} key slot(s) for it.")


def _open(fields: dict, key) -> Optional[Secrets]:
    """The secrets, or None when the key is another."""
    try:
        wrapping = _wrapping_key(fields, key)
        plain = unseal(wrapping, _bytes(fields["nonce"]), _bound(fields), _bytes(fields["wrapped"]))
    except AuthenticationError:
        return None
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise DamagedObjectError(f"A key slot is damaged: {error}.") from error
    content = json.loads(plain.decode("ascii"))
    private_keys = tuple(_bytes(text) for text in content["private_keys"])
    return Secrets(_bytes(content["id_key"]), _bytes(content["index_key"]), public_key(private_keys[0]), private_keys)


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
    if not isinstance(key, (Passphrase, KeyFile)):
        raise KeyAccessError("An encrypted repository needs a passphrase or a key file.")


def _choose_kdf(key, kdf: str) -> dict:
    if isinstance(key, KeyFile):
        return {"type": "key-file"}
    if kdf != "pbkdf2-hmac-sha512" and (kdf == "scrypt" or _scrypt_works()):
        return dict(_SCRYPT, type="scrypt")
    return dict(_PBKDF2, type="pbkdf2-hmac-sha512")


def _scrypt_works() -> bool:
    try:
        return bool(scrypt(b"", b"", 2, 1, 1))
    except RepositoryError:
        return False


def _fits(fields: dict, key) -> bool:
    if isinstance(key, KeyFile):
        return fields.get("type") == "key-file"
    return fields.get("type") in ("scrypt", "pbkdf2-hmac-sha512")


def _wrapping_key(fields: dict, key) -> bytes:
    """Derive the key that wraps the secrets. Refuses costs that would only exhaust this host."""
    if int(fields["format_version"]) > _VERSION:
        raise ValueError(f"it is of format {fields['format_version']}, which is newer than this version knows")
    salt = _bytes(fields["salt"])
    if isinstance(key, KeyFile):
        return hkdf(key.data, salt, b"agnostic.recovery key file slot 1")
    secret = unicodedata.normalize("NFC", key.text).encode("utf-8")
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
