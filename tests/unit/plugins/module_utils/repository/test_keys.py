# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key slots, the capture credential, data keys, and opening a repository with each."""

import json
import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, KeyAccessError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import datakey, slots
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.crypto import AuthenticationError, new_private_key, public_key
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import (
    CaptureCredential, KeyCommand, KeyFile, NoKey, Passphrase, Secrets)
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository, read_info)

pytest.importorskip("cryptography")

KEY_FILE = KeyFile(b"\7" * 64)


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    with DirectoryStore(str(tmp_path / "repository")) as store:
        init_repository(store, KEY_FILE)
        yield store


@pytest.fixture(name="cheap_kdf")
def fixture_cheap_kdf(monkeypatch):
    monkeypatch.setattr(slots, "_SCRYPT", {"n": 16, "r": 8, "p": 1})
    monkeypatch.setattr(slots, "_PBKDF2", {"iterations": 10})


def edit(store, name, change):
    """Change fields of a stored JSON object and mend its checksum as far as no key is needed."""
    path = os.path.join(store.path, name)
    with open(path, "rb") as file:
        fields = json.loads(file.read().decode("ascii"))
    fields.pop("checksum")
    change(fields)
    fields["checksum"] = slots._checksum(fields)
    with open(path, "w") as file:
        json.dump(fields, file, sort_keys=True, separators=(",", ":"))
        file.write("\n")


def test_real_passphrase_slot(tmp_path):
    with DirectoryStore(str(tmp_path / "r")) as store:
        init_repository(store, Passphrase("correct horse"))
        (slot,) = slots.list_slots(store, read_info(store).id)
        assert slot.type in ("scrypt", "pbkdf2-hmac-sha512") and slot.label == "default"
        with open(os.path.join(store.path, slots.PREFIX + slot.name)) as file:
            assert json.load(file).get("n", 1 << 17) == 1 << 17
        assert open_repository(store, Passphrase("correct horse")).can_read
        with pytest.raises(KeyAccessError, match="The passphrase is wrong"):
            open_repository(store, Passphrase("correct horses"))


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2-hmac-sha512"])
def test_every_slot_opens_the_same_secrets(store, cheap_kdf, kdf):
    first = open_repository(store, KEY_FILE)
    slots.add_slot(store, first.info.id, first.secrets, Passphrase("s\u00fc\u00df"), "second", "now", kdf=kdf)
    second = open_repository(store, Passphrase("su\u0308\u00df"))      # the same text, composed otherwise
    assert second.secrets == first.secrets
    assert {slot.type for slot in slots.list_slots(store, first.info.id)} == {"key-file", kdf}


def test_without_scrypt_pbkdf2_is_taken(store, cheap_kdf, monkeypatch):
    monkeypatch.setattr(slots, "_scrypt_works", lambda: False)
    repository = open_repository(store, KEY_FILE)
    slots.add_slot(store, repository.info.id, repository.secrets, Passphrase("x"), "fips", "now")
    assert "pbkdf2-hmac-sha512" in {slot.type for slot in slots.list_slots(store, repository.info.id)}
    assert open_repository(store, Passphrase("x")).can_read


def test_wrong_and_missing_keys(store):
    with pytest.raises(KeyAccessError, match="The key file is wrong"):
        open_repository(store, KeyFile(b"\x08" * 64))
    with pytest.raises(KeyAccessError, match="is encrypted: give a passphrase"):
        open_repository(store, NoKey())
    with pytest.raises(KeyAccessError, match="not a capture credential"):
        open_repository(store, CaptureCredential("hello"))


@pytest.mark.parametrize("key, message", [
    (Passphrase(""), "empty"), (KeyFile(b"short"), "at least 32"), (NoKey(), "needs a passphrase, a key file or a command"),
    (CaptureCredential("x"), "needs a passphrase, a key file or a command"), (KeyCommand(("true",)), "needs a command that wraps")])
def test_keys_that_cannot_create_a_repository(tmp_path, key, message):
    with DirectoryStore(str(tmp_path / "r")) as store:
        with pytest.raises(KeyAccessError, match=message):
            init_repository(store, key)
        assert not os.path.exists(store.path)


def test_capture_credential(store, tmp_path):
    reader = open_repository(store, KEY_FILE)
    text = export_capture_credential(reader)
    assert "\n" not in text and text.startswith("dr-capture-1:")
    writer = open_repository(store, CaptureCredential(text + "\n"))
    assert not writer.can_read and writer.secrets.private_keys == ()
    assert writer.chunk_ids.of(b"x") == reader.chunk_ids.of(b"x")
    assert (writer.page_key, writer.manifest_key) == (reader.page_key, reader.manifest_key)
    key = writer.new_data_key()
    assert writer.data_key(key.id) == key.key                # while the capture that made it runs
    assert reader.data_key(key.id) == key.key
    with pytest.raises(KeyAccessError, match="cannot read data"):
        open_repository(store, CaptureCredential(text)).data_key(key.id)
    with pytest.raises(KeyAccessError, match="the capture credential cannot"):
        slots.add_slot(store, writer.info.id, writer.secrets, Passphrase("x"), "", "")
    with DirectoryStore(str(tmp_path / "other")) as other:
        init_repository(other, KEY_FILE)
        with pytest.raises(KeyAccessError, match="belongs to repository"):
            open_repository(other, CaptureCredential(text))


def test_every_altered_character_of_a_credential_is_noticed(store):
    text = export_capture_credential(open_repository(store, KEY_FILE))
    for position in range(len(text)):
        altered = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1:]
        with pytest.raises(KeyAccessError):
            open_repository(store, CaptureCredential(altered))
    for length in range(0, len(text), 7):
        with pytest.raises(KeyAccessError):
            open_repository(store, CaptureCredential(text[:length]))


def test_slots_that_would_exhaust_the_host_are_refused(store, cheap_kdf):
    repository = open_repository(store, KEY_FILE)
    name = slots.PREFIX + slots.add_slot(store, repository.info.id, repository.secrets, Passphrase("x"), "", "now", kdf="scrypt").name
    for field, value in (("n", 1 << 40), ("r", 1 << 20), ("p", 1 << 30), ("n", 0), ("n", "many")):
        before = open(os.path.join(store.path, name), "rb").read()
        edit(store, name, lambda fields, field=field, value=value: fields.update({field: value}))
        with pytest.raises(KeyAccessError, match="not every slot could be tried"):
            open_repository(store, Passphrase("x"))
        with open(os.path.join(store.path, name), "wb") as file:
            file.write(before)
    assert open_repository(store, Passphrase("x")).can_read


def test_a_slot_is_bound_to_its_fields(store):
    (slot,) = slots.list_slots(store, read_info(store).id)
    edit(store, slots.PREFIX + slot.name, lambda fields: fields.update(label="changed"))
    with pytest.raises(KeyAccessError, match="The key file is wrong"):
        open_repository(store, KEY_FILE)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"{", b"\xff" * 20, b"[" * 60000, b"x" * 70000])
def test_damaged_slots_are_told_apart_from_wrong_keys(store, content):
    (slot,) = slots.list_slots(store, read_info(store).id)
    with open(os.path.join(store.path, slots.PREFIX + slot.name), "wb") as file:
        file.write(content)
    with pytest.raises(KeyAccessError, match="is damaged"):
        open_repository(store, KEY_FILE)


def test_every_flipped_byte_of_a_slot_is_told(store):
    (slot,) = slots.list_slots(store, read_info(store).id)
    path = os.path.join(store.path, slots.PREFIX + slot.name)
    content = open(path, "rb").read()
    for position in range(len(content)):
        with open(path, "wb") as file:
            file.write(content[:position] + bytes((content[position] ^ 1,)) + content[position + 1:])
        try:
            assert open_repository(store, KEY_FILE).can_read     # white space only
            assert content[position:position + 1] in b" \n,:"
        except KeyAccessError as error:
            assert "is damaged" in str(error)


def test_data_key_objects():
    private, repository_id = new_private_key(), os.urandom(16)
    secrets = Secrets(b"i" * 32, b"x" * 32, public_key(private), (new_private_key(), private))
    key, sealed = datakey.seal_data_key(repository_id, public_key(private))
    assert len(sealed) == datakey.SIZE and key.key not in sealed
    assert datakey.open_data_key(sealed, key.id, repository_id, secrets) == key
    with pytest.raises(AuthenticationError, match="does not match"):
        datakey.open_data_key(sealed, key.id, os.urandom(16), secrets)
    with pytest.raises(AuthenticationError, match="key slots do not hold"):
        datakey.open_data_key(sealed, key.id, repository_id, secrets._replace(private_keys=(new_private_key(),)))
    for position in range(len(sealed)):
        altered = sealed[:position] + bytes((sealed[position] ^ 4,)) + sealed[position + 1:]
        with pytest.raises(AuthenticationError, match="not what its name says"):
            datakey.open_data_key(altered, key.id, repository_id, secrets)
        with pytest.raises(AuthenticationError):                 # also when the name is forged with it
            datakey.open_data_key(altered, datakey.hashlib.sha256(altered).digest(), repository_id, secrets)


def test_a_damaged_or_missing_data_key_is_named(store):
    repository = open_repository(store, KEY_FILE)
    key = repository.new_data_key()
    path = os.path.join(store.path, "keys/data", key.id.hex())
    with open(path, "r+b") as file:
        file.write(b"X")
    fresh = open_repository(store, KEY_FILE)
    for method in (fresh.data_key, fresh.check_data_key):
        with pytest.raises(DamagedObjectError, match=f"data key keys/data/{key.id.hex()} is damaged"):
            method(key.id)
    os.unlink(path)
    with pytest.raises(DamagedObjectError, match=f"keys/data/{key.id.hex()} is missing"):
        fresh.data_key(key.id)
