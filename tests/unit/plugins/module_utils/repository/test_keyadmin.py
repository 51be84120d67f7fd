# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adding, replacing and removing key slots, new epochs: killed at every step, beside each other, against who may write to the store."""

import json
import os
import signal

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import KeyAccessError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import keyring, slots
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.crypto import new_private_key, public_key
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyadmin import KeyAdministration
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyring import Keyring, put_grant, put_keyring
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository, read_info)

pytest.importorskip("cryptography")

FIRST, SECOND, THIRD, FOURTH = (KeyFile(bytes((number,)) * 64) for number in range(4))


class InterruptedStore(DirectoryStore):
    """Calls `at_step` before the change number `step`."""

    def __init__(self, path, step, at_step):
        super().__init__(path)
        self.step, self.at_step = step, at_step

    def put_new(self, name, data):
        self._count()
        return super().put_new(name, data)

    def delete(self, name):
        self._count()
        super().delete(name)

    def _count(self):
        self.step -= 1
        if self.step == 0:
            self.at_step()


def killed_at(path, step, change):
    """Make the change in a process that is killed (SIGKILL) before its step number `step`; False: it ended before that."""
    child = os.fork()
    if child == 0:
        try:
            with InterruptedStore(path, step, lambda: os.kill(os.getpid(), signal.SIGKILL)) as store:
                change(store)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    with DirectoryStore(str(tmp_path / "repository")) as store:
        init_repository(store, FIRST)
        yield store


def names(store):
    """The name of each slot by its label."""
    return {slot.label: slot.name for slot in slots.list_slots(store, read_info(store).id)}


def stored(store):
    return {slot.name for slot in slots.list_slots(store, read_info(store).id)}


def opens(store, key):
    try:
        return open_repository(store, key).can_read
    except KeyAccessError:
        return False


def replace(store):
    KeyAdministration(store, FIRST).add(SECOND, "default", replaced=[names(store)["default"]])


def add(store):
    KeyAdministration(store, FIRST).add(SECOND, "second")


def remove(store):
    KeyAdministration(store, FIRST).remove([names(store)["third"]])


def begin_epoch(store):
    KeyAdministration(store, FIRST).begin_epoch(2)


def test_add_replace_remove(store):
    secrets = open_repository(store, FIRST).secrets
    KeyAdministration(store, FIRST).add(SECOND, "second")
    assert open_repository(store, SECOND).secrets == secrets
    KeyAdministration(store, SECOND).add(THIRD, "second", replaced=[names(store)["second"]])
    assert (opens(store, FIRST), opens(store, SECOND), opens(store, THIRD)) == (True, False, True)
    KeyAdministration(store, THIRD).remove([names(store)["default"]])
    assert not opens(store, FIRST)
    with pytest.raises(RepositoryError, match="the last key slot"):
        KeyAdministration(store, THIRD).remove([names(store)["second"]])
    assert open_repository(store, THIRD).secrets == secrets
    with pytest.raises(KeyAccessError, match="The key file is wrong"):
        KeyAdministration(store, FIRST)


def test_a_new_epoch(store):
    KeyAdministration(store, FIRST).add(SECOND, "second")
    before = open_repository(store, FIRST)
    old_key = before.new_data_key()
    old_credential = export_capture_credential(before)
    begin_epoch(store)
    KeyAdministration(store, SECOND).begin_epoch(3)
    KeyAdministration(store, SECOND).begin_epoch(3)          # is there already
    KeyAdministration(store, SECOND).add(THIRD, "third")     # made in the newest epoch
    opened = [open_repository(store, key) for key in (FIRST, SECOND, THIRD)]
    assert len({repository.secrets for repository in opened}) == 1
    after = opened[0]
    assert len(after.secrets.private_keys) == 3 and after.secrets.private_keys[2:] == before.secrets.private_keys
    assert (after.secrets.id_key, after.page_key, after.manifest_key) == (before.secrets.id_key, before.page_key, before.manifest_key)
    new_key = after.new_data_key()
    for repository in opened:
        fresh = open_repository(store, FIRST)
        assert (fresh.data_key(old_key.id), fresh.data_key(new_key.id)) == (old_key.key, new_key.key)
    with pytest.raises(Exception, match="key slots do not hold"):
        before.__class__(store, before.info, before.secrets).data_key(new_key.id)      # the old private key does not do
    with pytest.raises(KeyAccessError, match="of another epoch"):
        open_repository(store, CaptureCredential(old_credential))
    writer = open_repository(store, CaptureCredential(export_capture_credential(after)))
    assert writer.secrets.public_key == after.secrets.public_key
    with pytest.raises(RepositoryError, match="in epoch 3; the next one is 4, not 5"):
        KeyAdministration(store, FIRST).begin_epoch(5)


def test_who_was_removed_before_an_epoch_does_not_get_its_key(store):
    KeyAdministration(store, FIRST).add(SECOND, "second")
    path = os.path.join(store.path, slots.PREFIX, names(store)["second"])
    with open(path, "rb") as file:
        kept = file.read()
    KeyAdministration(store, FIRST).remove([names(store)["second"]])
    begin_epoch(store)
    with open(path, "wb") as file:                           # whoever was removed may have kept a copy
        file.write(kept)
    repository = open_repository(store, SECOND)
    assert len(repository.secrets.private_keys) == 1 and repository.can_read
    for refused in (repository.new_data_key, lambda: export_capture_credential(repository), KeyAdministration(store, SECOND).held):
        with pytest.raises(KeyAccessError, match="was not given the key of its epoch 2"):
            refused()


@pytest.mark.parametrize("change", [add, replace, remove, begin_epoch])
def test_killed_before_every_step(tmp_path, change):
    """A working slot is left wherever it is killed, and the same call does the rest."""
    step = 0
    while True:
        step += 1
        path = str(tmp_path / str(step))
        with DirectoryStore(path) as store:
            init_repository(store, FIRST)
            KeyAdministration(store, FIRST).add(THIRD, "third")
            secrets = open_repository(store, FIRST).secrets
        killed = killed_at(path, step, change)
        with DirectoryStore(path) as store:
            working = [key for key in (FIRST, SECOND) if opens(store, key)]
            assert working
            for key in working:
                repository = open_repository(store, key)
                assert repository.secrets.private_keys[-1:] == secrets.private_keys and not repository.problem
                assert open_repository(store, key).new_data_key()
            if FIRST in working:
                try:
                    change(store)
                except KeyError:                             # there is nothing left to remove
                    assert change is remove
            held = KeyAdministration(store, SECOND if opens(store, SECOND) else FIRST).held()
            assert set(held.keyring.slots) <= stored(store)
            if change is begin_epoch:
                assert held.keyring.epoch == 2
        if not killed:
            assert step > 2
            return


CHANGES = {"add": add, "replace": replace, "remove": remove, "begin_epoch": begin_epoch,
           "add_fourth": lambda store: KeyAdministration(store, THIRD).add(FOURTH, "fourth"),
           "remove_first": lambda store: KeyAdministration(store, THIRD).remove([names(store)["default"]]),
           "other_epoch": lambda store: KeyAdministration(store, THIRD).begin_epoch(2)}


@pytest.mark.parametrize("other", ["add_fourth", "remove_first", "other_epoch"])
@pytest.mark.parametrize("change", ["add", "replace", "remove", "begin_epoch"])
def test_two_administrators_at_the_same_time(tmp_path, change, other):
    """The other one's whole change happens before each step of the first one's."""
    step = 0
    while True:
        step += 1
        path = str(tmp_path / str(step))
        with DirectoryStore(path) as store:
            init_repository(store, FIRST)
            KeyAdministration(store, FIRST).add(THIRD, "third")
            slot_of_first = names(store)["default"]
        ran = []

        def interfere(path=path, ran=ran):    # pylint: disable=dangerous-default-value
            ran.append(True)
            with DirectoryStore(path) as beside:
                try:
                    CHANGES[other](beside)
                except (KeyError, KeyAccessError):           # the first one's change took away what it needs
                    ran.append("too late")
                except RepositoryError as error:
                    assert "last key slot" in str(error) or "no key slot" in str(error)

        with InterruptedStore(path, step, interfere) as store:
            try:
                CHANGES[change](store)
            except RepositoryError as error:
                assert "last key slot" in str(error)
        with DirectoryStore(path) as store:
            working = [key for key in (FIRST, SECOND, THIRD, FOURTH) if opens(store, key)]
            assert working
            ring = KeyAdministration(store, working[0]).held().keyring
            assert ring.slots and set(ring.slots) <= stored(store)
            opened = {open_repository(store, key).secrets for key in working}
            assert len(opened) == 1 and not any(open_repository(store, key).problem for key in working)
            if "epoch" in change + other and "too late" not in ran and ran:
                assert ring.epoch == 2
            if change == "remove" and other == "remove_first":
                assert len(ring.slots) == 1
            if change == "replace":
                assert slot_of_first not in ring.slots
        if not ran:
            return


def test_a_reply_that_is_lost_takes_no_epoch_away(store, monkeypatch):
    """An object store may report a clash with our own first try."""
    real = keyring.put_keyring
    module = KeyAdministration.__module__
    monkeypatch.setattr(module + ".put_keyring", lambda *arguments: real(*arguments) and False)
    begin_epoch(store)
    add(store)
    monkeypatch.undo()
    assert len(open_repository(store, FIRST).secrets.private_keys) == 2
    assert open_repository(store, SECOND).secrets == open_repository(store, FIRST).secrets


def forge(store, number, publics, slot_recipients, private):
    assert put_keyring(store, read_info(store).id, Keyring(number, publics, slot_recipients, ()), "now", private)


def test_who_holds_a_key_of_an_old_epoch_cannot_take_the_next_captures(store):
    """They know the first private key and may add objects: neither a way back nor another next epoch is believed."""
    leaked = open_repository(store, FIRST)
    begin_epoch(store)
    true = open_repository(store, FIRST)
    credential = CaptureCredential(export_capture_credential(true))
    root = leaked.secrets.public_key
    mine = new_private_key()
    recipients = KeyAdministration(store, FIRST).held().keyring.slots
    for name, recipient in recipients.items():
        put_grant(store, leaked.info.id, name, recipient, mine, leaked.secrets.private_keys[0])
    forge(store, 3, (root,), recipients, leaked.secrets.private_keys[0])
    forge(store, 4, (public_key(mine), root), recipients, mine)
    forge(store, 5, (public_key(mine), true.secrets.public_key, root), recipients, mine)
    repository = open_repository(store, FIRST)
    assert repository.secrets == true.secrets
    with pytest.raises(KeyAccessError, match="00000003 cannot be used with this key: it does not continue the one before it"):
        repository.new_data_key()
    with pytest.raises(KeyAccessError, match="00000003 cannot be used"):
        KeyAdministration(store, FIRST).held()
    with pytest.raises(KeyAccessError, match="another epoch"):
        open_repository(store, credential)


def test_a_source_or_a_store_cannot_plant_a_slot(store):
    """Without a private key no keyring is believed, so no recipient of theirs is granted anything."""
    source = open_repository(store, CaptureCredential(export_capture_credential(open_repository(store, FIRST))))
    ring = KeyAdministration(store, FIRST).held().keyring
    forge(store, 2, ring.public_keys, dict(ring.slots, f00d=public_key(new_private_key())), source.secrets.index_key)
    with pytest.raises(KeyAccessError, match="00000002 cannot be used with this key: its authentication code does not match"):
        begin_epoch(store)
    assert open_repository(store, FIRST).can_read


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[" * 70000, b"\xff", None])
def test_a_damaged_keyring_does_not_keep_from_restoring(store, content):
    repository = open_repository(store, FIRST)
    key = repository.new_data_key()
    credential = CaptureCredential(export_capture_credential(repository))
    begin_epoch(store)
    path = os.path.join(store.path, keyring.RINGS, repository.info.id, "00000002")
    if content is None:
        with open(path, "rb") as file:
            fields = json.loads(file.read().decode("ascii"))
        content = json.dumps(dict(fields, created="then")).encode("ascii")
    with open(path, "wb") as file:
        file.write(content)
    damaged = open_repository(store, FIRST)
    assert damaged.data_key(key.id) == key.key
    with pytest.raises(KeyAccessError, match="00000002 is damaged"):
        damaged.new_data_key()
    with pytest.raises(RepositoryError, match="00000002 is damaged"):
        open_repository(store, credential)


def test_a_damaged_or_missing_grant_is_told(store):
    begin_epoch(store)
    (name,) = store.list(keyring.GRANTS)
    with open(os.path.join(store.path, name), "r+b") as file:
        file.seek(80)
        file.write(b"X")
    with pytest.raises(KeyAccessError, match=name + " is damaged"):
        KeyAdministration(store, FIRST).held()
    store.delete(name)
    with pytest.raises(KeyAccessError, match="was not given the key of its epoch 2"):
        KeyAdministration(store, FIRST).held()


def test_a_repository_without_a_keyring(store):
    """Version 1.0 made none: its slots can be changed; those without a recipient cannot follow to a new epoch."""
    (ring,) = store.list(keyring.RINGS)
    store.delete(ring)
    assert open_repository(store, CaptureCredential(export_capture_credential(open_repository(store, FIRST))))
    with pytest.raises(RepositoryError, match="of an older version, which cannot follow"):
        begin_epoch(store)
    replace(store)
    KeyAdministration(store, SECOND).begin_epoch(2)
    assert len(open_repository(store, SECOND).secrets.private_keys) == 2
    assert not opens(store, FIRST)


def test_a_slot_that_does_not_open_again_replaces_nothing(store, monkeypatch):
    monkeypatch.setattr(KeyAdministration.__module__ + ".open_slot", lambda *_arguments: None)
    with pytest.raises(KeyAccessError, match="nothing was changed"):
        replace(store)
    monkeypatch.undo()
    assert opens(store, FIRST) and list(names(store)) == ["default"]
