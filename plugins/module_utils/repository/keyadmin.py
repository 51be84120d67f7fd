# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of a repository's key slots and epoch, by who holds a key that can read. No data is touched.

Every change is committed by one keyring (keyring.py), put conditionally. What it needs is durable before, what it makes useless is deleted
after: killed anywhere, at least one slot works, and the same call does the rest. Of two changes at the same time the second sees the first.
"""

import time
from typing import Callable, Iterable, Optional

from ..errors import KeyAccessError, RepositoryError
from .crypto import new_private_key, public_key
from .keyring import HeldKeys, Keyring, follow, grant_name, put_grant, put_keyring
from .keys import Key
from .repository import open_slot_of
from .slots import PREFIX, OpenSlot, add_slot, list_slots, open_slot
from .store import ObjectStore

LAST_SLOT = "This is the last key slot: without it nobody could read the repository. Add another one first."


class KeyAdministration:
    """The slots and epochs of the repository in `store`, opened with `key`. Raises KeyAccessError, RepositoryError."""

    def __init__(self, store: ObjectStore, key: Key):
        self._store = store
        self._info, self._slot = open_slot_of(store, key)

    @property
    def repository_id(self) -> str:
        return self._info.id

    def held(self) -> HeldKeys:
        """The keys and the keyring as they are now. Raises KeyAccessError when that cannot be told."""
        held = follow(self._store, self._info.id, bytes.fromhex(self._info.public_key), self._slot)
        if held.problem:
            raise KeyAccessError(held.problem)
        return held

    def opens(self, name: str, key: Key) -> bool:
        """Whether `key` opens the slot. Raises DamagedObjectError, and KeyAccessError when a command fails."""
        return open_slot(self._store, self._info.id, name, key) is not None

    def add(self, key: Key, label: str, kdf: str = "", replaced: Iterable[str] = ()) -> str:
        """Give `key` a slot, and take those named `replaced` away once it is shown to open; the slot's name. For `kdf` see add_slot."""
        while True:
            held = self.held()
            slot = add_slot(self._store, self._info.id, held.secrets, key, label, _now(), kdf)
            self._prove(slot, key)
            if self._commit(lambda ring, made=slot: self._with_slot(ring, made, replaced)):
                return slot.name
            self._store.delete(PREFIX + slot.name)      # another change came between: once more

    def remove(self, names: Iterable[str]) -> None:
        """Take slots away, but never the last that can be used."""
        def without(ring: Keyring) -> Keyring:
            changed = _without(ring, names, ring.slots)
            usable = {slot.name for slot in list_slots(self._store, self._info.id) if not slot.problem}
            if not usable & set(changed.slots):
                raise RepositoryError(LAST_SLOT)
            return changed
        self._commit(without)

    def begin_epoch(self, number: int) -> None:
        """See that the newest epoch is number `number`: begin it if it is the next one.

        What is sealed from then on needs its new private key, which every slot of the keyring gives. Raises RepositoryError.
        """
        while True:
            held = self.held()
            if held.keyring.epoch == number:
                return
            if held.keyring.epoch != number - 1:
                raise RepositoryError(f"The repository is in epoch {held.keyring.epoch}; the next one is {held.keyring.epoch + 1}, "
                                      f"not {number}.")
            self._refuse_old_slots(held.keyring)
            private = new_private_key()
            for name, recipient in held.keyring.slots.items():
                put_grant(self._store, self._info.id, name, recipient, private, held.secrets.private_keys[0])
            ring = held.keyring
            ring = ring._replace(number=ring.number + 1, public_keys=(public_key(private),) + ring.public_keys)
            if put_keyring(self._store, self._info.id, ring, _now(), private):
                return
            if public_key(private) not in self.held().keyring.public_keys:
                for name in held.keyring.slots:         # another change was first: once more
                    self._store.delete(grant_name(public_key(private), name))

    def _prove(self, slot: OpenSlot, key: Key) -> None:
        """See that a new slot opens with its key, as it is stored. Raises KeyAccessError, and takes it back."""
        problem = "Does the command that unwraps undo the one that wraps?"
        try:
            again = open_slot(self._store, self._info.id, slot.name, key)
        except RepositoryError as error:
            again, problem = None, str(error)
        if again is None or again.secrets != slot.secrets:
            self._store.delete(PREFIX + slot.name)
            raise KeyAccessError(f"The new key does not open the key slot that was made with it, so nothing was changed. {problem}")

    def _refuse_old_slots(self, ring: Keyring) -> None:
        for name, recipient in ring.slots.items():
            if not recipient:
                raise RepositoryError(f"The key slot {name} is of an older version, which cannot follow to a new epoch; replace it first.")

    def _with_slot(self, ring: Keyring, slot: OpenSlot, replaced: Iterable[str]) -> Optional[Keyring]:
        """The keyring with a new slot in place of others; None when the slot is of an epoch that has passed, or was removed meanwhile."""
        if ring.public_keys[0] != slot.secrets.public_key or slot.name in ring.removed or self._store.size(PREFIX + slot.name) is None:
            return None
        return _without(ring, replaced, dict(ring.slots, **{slot.name: public_key(slot.private_key)}))

    def _commit(self, change: Callable[[Keyring], Optional[Keyring]]) -> bool:
        """Store the changed keyring; the change is made again when another one was first. False: it was None."""
        while True:
            held = self.held()
            ring = change(held.keyring)
            if ring is None:
                return False
            gone = [name for name in ring.removed if self._store.size(PREFIX + name) is not None]
            ring = ring._replace(number=held.keyring.number + 1, removed=tuple(sorted(gone)))
            # A store may report a clash with our own first try.
            if put_keyring(self._store, self._info.id, ring, _now(), held.secrets.private_keys[0]) or self.held().keyring == ring:
                self._delete(ring)
                return True

    def _delete(self, ring: Keyring) -> None:
        """Delete what the keyring calls removed."""
        for name in ring.removed:
            self._store.delete(PREFIX + name)
            for public in ring.public_keys[:-1]:
                self._store.delete(grant_name(public, name))


def _without(ring: Keyring, names: Iterable[str], slots: dict) -> Keyring:
    gone = set(names)
    return ring._replace(slots={name: to for name, to in slots.items() if name not in gone}, removed=ring.removed + tuple(gone))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
