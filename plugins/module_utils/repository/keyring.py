# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keyring of a repository: which key slots there are, and the public keys of its epochs.

Every change of slots or epoch is a new object `keys/rings/<repository id>/<number>`, put conditionally: of two administrators who change
something at the same time one is first, and the other sees it. The newest keyring counts. It is authenticated under the newest private key,
so neither a source nor whoever can only write to the store can make one. docs/format.md section 3 gives the format.

A new epoch has a new private key. It is granted to each slot: sealed to the slot's recipient, and opened only with the private key before
it, so that every slot follows although only one was open.
"""

import hashlib
import hmac
import json
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..errors import DamagedObjectError, RepositoryError
from .crypto import KEY_SIZE, AuthenticationError, hkdf, public_key
from .keys import Secrets
from .sealing import Purpose, open_key, recipient_id, seal_key
from .slots import OpenSlot, list_slots
from .store import ObjectStore

RINGS = "keys/rings/"
GRANTS = "keys/grants/"
_VERSION = 1
MAX_RING_SIZE = 1 << 20
_GRANT = Purpose(b"ZIAG", b"zia/1 epoch grant")


class Keyring(NamedTuple):
    """`number` counts the changes, from 1; 0 where none is stored (made before there were keyrings).

    `public_keys` has one for each epoch, the newest first. `slots` gives the recipient of each slot by name; `removed` names
    slots whose objects may still have to be deleted.
    """
    number: int
    public_keys: Tuple[bytes, ...]
    slots: Dict[str, bytes]
    removed: Tuple[str, ...]

    @property
    def epoch(self) -> int:
        """The number of the newest epoch, from 1."""
        return len(self.public_keys)


class HeldKeys(NamedTuple):
    """What a slot gives access to, all epochs together. `problem` says why it may not be the newest; then nothing new may be written."""
    secrets: Secrets
    keyring: Keyring
    problem: str


def put_keyring(store: ObjectStore, repository_id: str, keyring: Keyring, created: str, private_key: bytes) -> bool:
    """Store a keyring, durably; False: its number is taken. `private_key` is that of its newest epoch."""
    fields = {"format_version": _VERSION, "repository": repository_id, "number": keyring.number, "created": created,
              "public_keys": [public.hex() for public in keyring.public_keys],
              "slots": {name: recipient.hex() for name, recipient in keyring.slots.items()}, "removed": sorted(keyring.removed)}
    fields["mac"] = _mac(fields, repository_id, private_key)
    return store.put_new(_name(repository_id, keyring.number), _encode(fields))


def put_grant(store: ObjectStore, repository_id: str, slot: str, recipient: bytes, private_key: bytes, before: bytes) -> None:
    """Let a slot follow to the epoch of `private_key`; `before` is the private key of the epoch before it."""
    public = public_key(private_key)
    store.put_new(grant_name(public, slot), seal_key(_GRANT, recipient, bytes.fromhex(repository_id) + public, private_key, before))


def grant_name(public: bytes, slot: str) -> str:
    return f"{GRANTS}{recipient_id(public).hex()}/{slot}"


def epoch_public_key(store: ObjectStore, repository_id: str) -> Optional[bytes]:
    """The public key of the newest epoch that a keyring tells, not authenticated; None where there is no keyring.

    For who holds no private key. Raises DamagedObjectError.
    """
    found = ()                           # type: Tuple[bytes, ...]
    for number in _numbers(store, repository_id):
        public_keys = _parse(_read(store, repository_id, number)).public_keys
        found = public_keys if len(public_keys) > len(found) else found
    return found[0] if found else None


def follow(store: ObjectStore, repository_id: str, root_public_key: bytes, slot: OpenSlot) -> HeldKeys:
    """All that an open slot gives access to: the newest authentic keyring, and the private keys of its epochs.

    Keyrings are followed from the first, so that none counts that leaves out an epoch before it. One that is damaged, forged, or of an
    epoch that was not granted to the slot is passed over and told as the problem: it keeps nobody from restoring.
    """
    known = {public_key(private): private for private in slot.secrets.private_keys}
    numbers = _numbers(store, repository_id)
    found = {} if numbers else {info.name: b"" for info in list_slots(store, repository_id) if not info.problem}
    keyring = Keyring(0, (root_public_key,), found, ())
    problem = ""
    for number in numbers:
        try:
            fields = _read(store, repository_id, number)
            candidate = _parse(fields)
            if candidate.public_keys[-keyring.epoch:] != keyring.public_keys:
                raise DamagedObjectError("it does not continue the one before it.")
            _open_grants(store, repository_id, candidate, slot, known)
            if not hmac.compare_digest(str(fields.get("mac")), _mac(fields, repository_id, known[candidate.public_keys[0]])):
                raise DamagedObjectError("its authentication code does not match.")
            keyring = candidate
        except RepositoryError as error:
            problem = problem or f"The keyring {_name(repository_id, number)} cannot be used with this key: {error}"
    if slot.secrets.public_key not in keyring.public_keys:
        return HeldKeys(slot.secrets, keyring, problem or f"The newest keyring is missing below {RINGS}{repository_id}.")
    private_keys = tuple(known[public] for public in keyring.public_keys)
    return HeldKeys(slot.secrets._replace(public_key=keyring.public_keys[0], private_keys=private_keys), keyring, problem)


def _open_grants(store: ObjectStore, repository_id: str, keyring: Keyring, slot: OpenSlot, known: Dict[bytes, bytes]) -> None:
    """Add to `known` (public key: private key) what the keyring's epochs have granted to the slot. Raises DamagedObjectError."""
    for before, public in zip(reversed(keyring.public_keys), reversed(keyring.public_keys[:-1])):
        if public in known:
            continue
        name = grant_name(public, slot.name)
        if store.size(name) is None:
            raise DamagedObjectError(f"the key slot {slot.name} was not given the key of its epoch {keyring.epoch}; make the slot anew.")
        try:
            private = open_key(_GRANT, store.get(name), slot.private_key, bytes.fromhex(repository_id) + public, known[before])
        except AuthenticationError as error:
            raise DamagedObjectError(f"the object {name} is damaged: {error}.") from error
        if public_key(private) != public:
            raise DamagedObjectError(f"the object {name} holds another key.")
        known[public] = private


def _numbers(store: ObjectStore, repository_id: str) -> List[int]:
    """The numbers of the stored keyrings, ascending."""
    names = [name.rsplit("/", 1)[1] for name in store.list(f"{RINGS}{repository_id}/")]
    return sorted(int(name) for name in names if name.isdigit() and len(name) == 8)


def _read(store: ObjectStore, repository_id: str, number: int) -> dict:
    """The fields of a keyring. Raises DamagedObjectError."""
    name = _name(repository_id, number)
    data = store.get(name)
    try:
        fields = json.loads(data.decode("ascii")) if len(data) <= MAX_RING_SIZE else None
        if not isinstance(fields, dict) or _encode({key: value for key, value in fields.items() if key != "checksum"}) != data:
            raise ValueError("its checksum does not match")
        if fields["format_version"] != _VERSION:
            raise ValueError("it is of a format that this version does not know")
        if fields["repository"] != repository_id or fields["number"] != number:
            raise ValueError("its content is not what its name says")
    except (ValueError, KeyError, RecursionError) as error:
        raise DamagedObjectError(f"The object {name} is damaged: {error}.") from error
    return fields


def _parse(fields: dict) -> Keyring:
    try:
        publics = tuple(bytes.fromhex(text) for text in fields["public_keys"])
        slots = {str(name): bytes.fromhex(text) for name, text in fields["slots"].items()}
        if not publics or {len(public) for public in publics} != {KEY_SIZE}:
            raise ValueError("it has no public keys")
        return Keyring(fields["number"], publics, slots, tuple(str(name) for name in fields["removed"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedObjectError(f"A keyring is damaged: {error}.") from error


def _mac(fields: dict, repository_id: str, private_key: bytes) -> str:
    key = hkdf(private_key, bytes.fromhex(repository_id), b"zia/1 keyring")
    content = {name: value for name, value in fields.items() if name not in ("mac", "checksum")}
    return hmac.new(key, _canonical(content), hashlib.sha256).hexdigest()


def _name(repository_id: str, number: int) -> str:
    return f"{RINGS}{repository_id}/{number:08d}"


def _encode(fields: dict) -> bytes:
    return _canonical(dict(fields, checksum=hashlib.sha256(_canonical(fields)).hexdigest())) + b"\n"


def _canonical(fields: dict) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
