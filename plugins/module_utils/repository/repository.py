# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository: its root object, its secrets, and the ids, names and keys that follow from them."""

import hashlib
import hmac
import json
import os
import re
import threading
import time
from typing import Dict, NamedTuple, Optional, Tuple

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from . import datakey
from .crypto import KEY_SIZE, AuthenticationError, hkdf, new_private_key, public_key, require_cryptography
from .datakey import DataKey
from .keyring import Keyring, epoch_public_key, follow, put_keyring
from .keys import CaptureCredential, Key, NoKey, Secrets, read_credential, write_credential
from .slots import OpenSlot, add_slot, check_new_key, open_slots
from .store import ROOT, ObjectStore

FORMAT_VERSION = 1
DEFAULT_CHUNK_SIZE = 2 << 20
MIN_CHUNK_SIZE = 4 << 10         # small ones are for tests; init warns nobody, docs/format.md gives advice
MAX_CHUNK_SIZE = 8 << 20
SUITE_NONE = 0
SUITE_AES_256_GCM = 1

_MAX_ROOT_SIZE = 64 << 10
_SUITES = {"none": SUITE_NONE, "aes-256-gcm": SUITE_AES_256_GCM}


class RepositoryInfo(NamedTuple):
    """The root object. `id` is 32 hex digits; sizes are bytes; `public_key` (hex) is that of the first epoch, empty if unencrypted."""
    id: str
    format_version: int
    chunk_size: int
    encrypted: bool
    suite: str
    public_key: str
    created: str


class Repository:
    """An open repository: the store and what the key at hand gives access to.

    `page_key` and `manifest_key` encrypt index pages and manifests (None in an unencrypted repository); `suite` is the number
    of the cipher suite; `id` the 16 bytes that every sealed object is bound to. `problem` says why nothing new may be sealed.
    """

    def __init__(self, store: ObjectStore, info: RepositoryInfo, secrets: Optional[Secrets], problem: str = ""):
        self.store = store
        self.info = info
        self.id = bytes.fromhex(info.id)
        self.chunk_size = info.chunk_size
        self.suite = _SUITES[info.suite]
        self.secrets = secrets
        self.problem = problem
        self.can_read = secrets is None or bool(secrets.private_keys)
        self.page_key = None             # type: Optional[bytes]
        self.manifest_key = None         # type: Optional[bytes]
        self.chunk_ids = Ids(None)
        self.page_ids = Ids(None)
        if secrets is not None:
            self.page_key = hkdf(secrets.index_key, self.id, b"zia/1 index page")
            self.manifest_key = hkdf(secrets.index_key, self.id, b"zia/1 manifest")
            self.chunk_ids = Ids(secrets.id_key)
            self.page_ids = Ids(hkdf(secrets.index_key, self.id, b"zia/1 index page name"))
        self._data_keys = {}             # type: Dict[bytes, DataKey]
        self._lock = threading.Lock()

    def new_data_key(self) -> Optional[DataKey]:
        """A fresh data key, its object durable in the store; None in an unencrypted repository. Raises KeyAccessError."""
        if self.secrets is None:
            return None
        if self.problem:
            raise KeyAccessError(f"Nothing new can be sealed. {self.problem}")
        key, sealed = datakey.seal_data_key(self.id, self.secrets.public_key)
        self.store.put_new(datakey.PREFIX + key.id.hex(), sealed)
        with self._lock:
            self._data_keys[key.id] = key
        return key

    def data_key(self, key_id: bytes) -> bytes:
        """The data key that a chunk names. Raises KeyAccessError (may only write) and DamagedObjectError."""
        with self._lock:
            known = self._data_keys.get(key_id)
        if known is None:
            if not self.can_read:
                raise KeyAccessError("The capture credential cannot read data: restoring and full verification need a passphrase "
                                     "or key file.")
            name = datakey.PREFIX + key_id.hex()
            data = self.store.get(name)
            try:
                known = datakey.open_data_key(data, key_id, self.id, self.secrets)
            except AuthenticationError as error:
                raise DamagedObjectError(f"The data key {name} is damaged: {error}.") from error
            with self._lock:
                self._data_keys[key_id] = known
        return known.key

    def check_data_key(self, key_id: bytes) -> None:
        """Check that a data key's object is there and unaltered, without opening it. Raises DamagedObjectError."""
        name = datakey.PREFIX + key_id.hex()
        try:
            datakey.check_data_key(self.store.get(name), key_id)
        except AuthenticationError as error:
            raise DamagedObjectError(f"The data key {name} is damaged: {error}.") from error


class Ids:
    """Names by content: HMAC-SHA-256 under a key, or plain SHA-256 where there is none."""

    def __init__(self, key: Optional[bytes]):
        self._inner = hashlib.sha256()
        self._outer = None
        if key is not None:
            # RFC 2104, with the two padded keys hashed once: a copy of a context is cheaper than hmac's Python code.
            block = key.ljust(64, b"\0")
            self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
            self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, data) -> bytes:
        """The 32-byte id of any bytes-like object. Releases the interpreter lock while it hashes much."""
        inner = self._inner.copy()
        inner.update(data)
        if self._outer is None:
            return inner.digest()
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def init_repository(store: ObjectStore, key: Key, chunk_size: int = DEFAULT_CHUNK_SIZE, encrypted: bool = True) -> RepositoryInfo:
    """Make a repository in an empty place. Raises RepositoryError when there is one already, or something else.

    The root object is written last and conditionally: of two that try at once, one succeeds. The first key slot is
    labelled "default".
    """
    if chunk_size & (chunk_size - 1) or not MIN_CHUNK_SIZE <= chunk_size <= MAX_CHUNK_SIZE:
        raise RepositoryError(f"The chunk size must be a power of two from {MIN_CHUNK_SIZE} to {MAX_CHUNK_SIZE} bytes, not {chunk_size}.")
    if encrypted:
        check_new_key(key)
    if not encrypted and not isinstance(key, NoKey):
        raise KeyAccessError("An unencrypted repository takes no key: leave the key out, or let the repository be encrypted.")
    store.create()
    if store.size(ROOT) is not None:
        raise RepositoryError(f"There is a repository at {store.label} already.")
    repository_id = os.urandom(16).hex()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    root = {"kind": "agnostic.recovery repository", "format_version": FORMAT_VERSION, "id": repository_id, "chunk_size": chunk_size,
            "suite": "none", "public_key": "", "created": created}
    if encrypted:
        require_cryptography()
        private = new_private_key()
        secrets = Secrets(os.urandom(KEY_SIZE), os.urandom(KEY_SIZE), public_key(private), (private,))
        root.update(suite="aes-256-gcm", public_key=secrets.public_key.hex())
        root["mac"] = _root_mac(root, secrets)
        slot = add_slot(store, repository_id, secrets, key, "default", created)
        slots = {slot.name: public_key(slot.private_key)}
        put_keyring(store, repository_id, Keyring(1, (secrets.public_key,), slots, ()), created, private)
    if not store.put_new(ROOT, _encode_root(root)):
        raise RepositoryError(f"There is a repository at {store.label} already.")
    return _info(root)


def read_info(store: ObjectStore) -> RepositoryInfo:
    """The root object, readable without a key. Raises RepositoryError: no repository, damaged, too new."""
    return _info(_read_root(store))


def open_repository(store: ObjectStore, key: Key) -> Repository:
    """Open with `key`. Raises KeyAccessError when it does not fit, RepositoryError when there is no (intact) repository."""
    root = _read_root(store)
    info = _info(root)
    if not info.encrypted:
        if not isinstance(key, NoKey):
            raise KeyAccessError(f"The repository at {store.label} is not encrypted, but a key was given for it: is it the right one?")
        return Repository(store, info, None)
    if isinstance(key, CaptureCredential):
        require_cryptography()
        secrets = read_credential(key, info.id)
        _check_mac(root, secrets, store)
        if secrets.public_key != (epoch_public_key(store, info.id) or bytes.fromhex(info.public_key)):
            raise KeyAccessError(f"The capture credential is of another epoch than the repository at {store.label}; export it again.")
        return Repository(store, info, secrets)
    held = follow(store, info.id, bytes.fromhex(info.public_key), open_slot_of(store, key)[1])
    return Repository(store, info, held.secrets, held.problem)


def open_slot_of(store: ObjectStore, key: Key) -> Tuple[RepositoryInfo, OpenSlot]:
    """The key slot that `key` opens, of an encrypted repository whose root object is authentic. Raises as `open_repository` does."""
    root = _read_root(store)
    info = _info(root)
    if not info.encrypted:
        raise KeyAccessError(f"The repository at {store.label} is not encrypted: it has no keys.")
    if isinstance(key, NoKey):
        raise KeyAccessError(f"The repository at {store.label} is encrypted: give a passphrase, a key file or another key of it.")
    require_cryptography()
    slot = open_slots(store, info.id, key)
    _check_mac(root, slot.secrets, store)
    if public_key(slot.secrets.private_keys[-1]).hex() != info.public_key:
        raise DamagedObjectError(f"The key slot {slot.name} of the repository at {store.label} does not hold the key of its first epoch.")
    return info, slot


def export_capture_credential(repository: Repository) -> str:
    """The capture credential: one line of text, to be handled as a secret. See docs/format.md for what its holder can do."""
    if repository.secrets is None:
        raise KeyAccessError("An unencrypted repository has no capture credential: who can reach it can write and read.")
    if repository.problem:
        raise KeyAccessError(repository.problem)
    return write_credential(repository.info.id, repository.secrets)


def _check_mac(root: dict, secrets: Secrets, store: ObjectStore) -> None:
    if not hmac.compare_digest(str(root.get("mac")), _root_mac(root, secrets)):
        raise DamagedObjectError(f"{ROOT} of the repository at {store.label} was altered: its authentication code does not match.")


def _info(root: dict) -> RepositoryInfo:
    return RepositoryInfo(id=root["id"], format_version=root["format_version"], chunk_size=root["chunk_size"],
                          encrypted=root["suite"] != "none", suite=root["suite"], public_key=root["public_key"], created=root["created"])


def _encode_root(root: dict) -> bytes:
    checksum = hashlib.sha256(_canonical(root)).hexdigest()
    return _canonical(dict(root, checksum=checksum)) + b"\n"


def _read_root(store: ObjectStore) -> dict:
    peek = store.peek(ROOT, _MAX_ROOT_SIZE)
    if peek is None:
        raise RepositoryError(f"There is no repository at {store.label}: it holds no {ROOT}. Check the location, and "
                              "of a directory that its file system is mounted; repository_init makes a new one.")
    damaged = DamagedObjectError(f"{ROOT} of the repository at {store.label} is damaged; put back a copy of it (it never changes).")
    try:
        root = json.loads(peek.head.decode("ascii"))
        version = root["format_version"]
        if root["kind"] != "agnostic.recovery repository" or not _is_number(version) or version < 1:
            raise damaged
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged
    if version > FORMAT_VERSION:
        raise RepositoryError(f"The repository at {store.label} has format version {version}; this version of agnostic.recovery "
                              f"reads up to {FORMAT_VERSION}. Use a newer one.")
    checksum = root.pop("checksum", None)
    if checksum is None or _encode_root(root) != peek.head:
        raise damaged
    if not _is_valid(root):
        raise damaged
    return root


def _is_number(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)         # true is none, though Python says so


def _is_valid(root: dict) -> bool:
    texts = [root.get(name) for name in ("suite", "id", "public_key", "created")]
    size = root.get("chunk_size")
    if not all(isinstance(text, str) for text in texts) or not _is_number(size):
        return False
    key = r"\Z" if root["suite"] == "none" else r"[0-9a-f]{64}\Z"
    return bool(root["suite"] in _SUITES and re.match(r"[0-9a-f]{32}\Z", root["id"]) and re.match(key, root["public_key"])
                and MIN_CHUNK_SIZE <= size <= MAX_CHUNK_SIZE and not size & (size - 1))


def _root_mac(root: dict, secrets: Secrets) -> str:
    key = hkdf(secrets.index_key, bytes.fromhex(root["id"]), b"zia/1 repository root")
    fields = {name: value for name, value in root.items() if name not in ("mac", "checksum")}
    return hmac.new(key, _canonical(fields), hashlib.sha256).hexdigest()


def _canonical(fields: dict) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
