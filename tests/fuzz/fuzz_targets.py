# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is fuzzed: functions that take any bytes and may end only in a result or in an error of the documented type.

Where a checksum would stop a fuzzer at the door, the target makes it right and goes in.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import tempfile
import zlib

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import (
    DamagedObjectError, KeyAccessError, MachineError, RecoveryError, RepositoryError)
from ansible_collections.agnostic.recovery.plugins.module_utils.image import manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import CodecError, decompress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.container import ContainerWriter, read_container
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import CHUNK, EnvelopeError, Opener
from ansible_collections.agnostic.recovery.plugins.module_utils.image.importing import import_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.index import Page
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import parse_initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import datakey, repository, slots
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.crypto import AuthenticationError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey, Secrets
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.store import Entry, ObjectStore, Peek, missing
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_map

IMAGE = "m/20261122T010203Z-00000001"
ID = bytes(range(16))
SECRETS = Secrets(bytes(32), bytes(range(32)), bytes(32), (b"\1" * 32,))
LIMIT = 8 << 20


class Objects(ObjectStore):
    """A store in memory."""

    def __init__(self, objects):
        self.label = "memory"
        self._objects = objects

    def create(self):
        pass

    def get(self, name, offset=0, length=None):
        if name not in self._objects:
            raise missing(self.label, name)
        return self._objects[name][offset:] if length is None else self._objects[name][offset:offset + length]

    def peek(self, name, length):
        return Peek(self._objects[name][:length], len(self._objects[name])) if name in self._objects else None

    def size(self, name):
        return len(self._objects[name]) if name in self._objects else None

    def put(self, name, data):
        self._objects[name] = bytes(data)

    def put_new(self, name, data):
        return self._objects.setdefault(name, bytes(data)) is data

    def flush(self):
        pass

    def list(self, prefix):
        return [name for name in sorted(self._objects) if name.startswith(prefix)]

    def scan(self, prefix):
        return [Entry(name, len(self._objects[name]), 0.0) for name in self.list(prefix)]

    def delete(self, name):
        self._objects.pop(name, None)


def opened(encrypted, store=None):
    suite = "aes-256-gcm" if encrypted else "none"
    info = repository.RepositoryInfo(ID.hex(), 1, 4096, encrypted, suite, "", "")
    return repository.Repository(store, info, SECRETS if encrypted else None)


def _with_checksum(data, checksum):
    """The JSON object in data with its checksum made right, or data where it is none."""
    try:
        fields = json.loads(data.decode("ascii"))
        fields.pop("checksum", None)
        return json.dumps(dict(fields, checksum=checksum(fields)), sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
    except (ValueError, AttributeError, TypeError, RecursionError):
        return data


def root(data):
    for text in (data, _with_checksum(data, lambda fields: hashlib.sha256(repository._canonical(fields)).hexdigest())):
        try:
            repository.open_repository(Objects({"repository.json": text}), NoKey())
        except RepositoryError:
            pass


def slot(data):
    for text in (data, _with_checksum(data, slots._checksum)):
        try:
            slots.open_slots(Objects({slots.PREFIX + "0": text}), ID.hex(), KeyFile(bytes(32)))
        except KeyAccessError:
            pass
        try:
            list(slots.list_slots(Objects({slots.PREFIX + "0": text}), ID.hex()))
        except DamagedObjectError:
            pass


def data_key(data):
    try:
        datakey.open_data_key(data, hashlib.sha256(data).digest(), ID, SECRETS)
    except AuthenticationError:
        pass


def envelope(data):
    for encrypted, sealed in ((True, data), (False, data), (False, _with_tag(data))):
        try:
            assert len(Opener(CHUNK, opened(encrypted), LIMIT).open(bytes(32), sealed, lambda key_id: bytes(32))) <= LIMIT
        except EnvelopeError:
            pass


def _with_tag(data):
    """An unencrypted chunk whose payload is data[9:] and whose header and tag are right."""
    if len(data) < 9:
        return data
    length = struct.unpack(">I", data[1:5])[0] % (LIMIT + 2)
    header = CHUNK + bytes((1, 0, data[0], 0)) + bytes(44) + struct.pack(">II4x", length, len(data) - 9)
    return header + data[9:] + hashlib.sha256(header + ID + bytes(32) + data[9:]).digest()[:16]


def codec(data):
    if len(data) > 5:
        size = struct.unpack(">I", data[1:5])[0] % (LIMIT + 1)
        try:
            assert len(decompress(data[0] % 4, data[5:], size)) == size
        except CodecError:
            pass


def page(data):
    try:
        found = Page(data)
    except ValueError:
        return
    for entry in range(found.count):
        if found.state(entry) == 2:
            found.location(entry)


def image_manifest(data):
    try:
        manifest._decode(data, IMAGE)
    except ValueError:
        pass


def image_name(data):
    name = manifest.PREFIX + data.decode("utf-8", "surrogateescape")
    image = manifest.image_id_of(name)
    assert not image or manifest.object_name(image) == name


def container(data):
    try:
        for _name, content in read_container(io.BytesIO(data), "file"):
            assert len(content) <= len(data)
    except DamagedObjectError:
        pass


def file_import(data):
    """Objects one after the other (length of name, name, length, content) as a file whose frame is right."""
    out, at = io.BytesIO(), 0
    writer = ContainerWriter(out)
    while at + 4 < len(data) and writer.objects < 50:
        name_length, length = struct.unpack_from(">BH", data, at)
        name = data[at + 3:at + 3 + name_length]
        at += 3 + name_length + length
        writer.add(name.decode("ascii", "replace").replace("\ufffd", "x"), data[at - length:at])
    writer.finish()
    out.seek(0)
    try:
        import_image(Objects({}), False, NoKey(), out, "file", NoProgress(), workers=1)
    except RecoveryError:
        pass


def disk(data):
    def read_at(offset, length):
        return data[offset:offset + length]
    described = read_disk("sda", read_at, len(data))
    for frozen in (False, True):
        used = used_map(read_at, described, frozen)
        assert 0 <= used.ranges.total <= len(data)


def initramfs(data):
    try:
        parse_initramfs(io.BytesIO(data), "initrd", limit=LIMIT)
    except MachineError:
        pass


TARGETS = {function.__name__: function for function in (
    root, slot, data_key, envelope, codec, page, image_manifest, image_name, container, file_import, disk, initramfs)}

_PACKED = (bytes(4096), zlib.compress(bytes(4096)), bytes.fromhex("28b52ffd60000f4d00001000000100fbf70116"))
_PAGE = bytes.fromhex("0100000100000003") + bytes(31) + b"p" + bytes(52) + bytes.fromhex("02010000000000000000000000000050") + b"\0\0\1\0" \
    + b"c" * 32 + bytes.fromhex("02") + bytes(19) + b"d" * 32
_GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "golden")


def seeds(target):
    """Good input to begin with."""
    made = {"image_manifest": [json.dumps(_MANIFEST).encode("ascii")], "page": [_PAGE], "image_name": [IMAGE.encode("ascii")],
            "codec": [bytes((number, 0, 0, 16, 0)) + packed for number, packed in enumerate(_PACKED)],
            "envelope": [bytes((number, 0, 0, 16, 0)) + b"abcd" + packed for number, packed in enumerate(_PACKED)],
            "file_import": [_import_seed()], "initramfs": [pack_archive([("init", 0o100755, b"x"), ("lib/a.ko", 0o100644, b"y" * 50)])],
            "disk": _disks() if target == "disk" else []}
    return made.get(target, []) + [_read(*path) for path in _SEEDS.get(target, ())] or [b""]


def _disks():
    """Small file systems, as far as this machine can make them."""
    found = []
    for command, size in ((["mkfs.ext2", "-q", "-F", "-b", "1024", "-N", "16"], 60), (["mkfs.ext4", "-q", "-F",
                          "-b", "1024", "-N", "16", "-J", "size=1"], 2000), (["mkfs.vfat"], 64), (["mkswap"], 40)):
        with tempfile.NamedTemporaryFile() as file:
            file.truncate(size << 10)
            try:
                subprocess.run(command + [file.name], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            found.append(file.read())
    return found


def _import_seed():
    with open(os.path.join(_GOLDEN, "plain.zia"), "rb") as file:
        objects = list(read_container(file, "plain.zia"))
    return b"".join(struct.pack(">BH", len(name), len(data)) + name.encode("ascii") + data for name, data in objects)


def _read(*path):
    with open(os.path.join(_GOLDEN, *path), "rb") as file:
        return file.read()


def _objects(folder):
    return sorted(os.path.relpath(os.path.join(at, name), _GOLDEN)
                  for at, _folders, names in os.walk(os.path.join(_GOLDEN, "plain", folder)) for name in names)


_SEEDS = {
    "root": [
        ("plain", "repository.json"), ("encrypted", "repository.json")], "container": [
            ("plain.zia",)], "slot": [
                ("encrypted", "keys", "slots", name) for name in sorted(
                    os.listdir(
                        os.path.join(
                            _GOLDEN, "encrypted", "keys", "slots")))], "data_key": [
                                ("encrypted", "keys", "data", name) for name in sorted(
                                    os.listdir(
                                        os.path.join(
                                            _GOLDEN, "encrypted", "keys", "data")))[
                                                :1]], "envelope": [
                                                    (name,) for name in _objects("chunks")[
                                                        :3]]}

_MANIFEST = {
    "format_version": 1, "id": IMAGE, "machine": "m", "created": "", "consistency": "offline", "parent": "", "size": 5000, "used": 0,
    "disks": [{"name": "sda", "size": 5000, "sector_size": 512, "used": 0, "data": 0, "pages": "A" * 43 + "=", "map": []}],
    "stored_new": 0, "stored_new_objects": 0, "seconds": 0, "warnings": [], "chunk_size": 4096, "entries_per_page": 1024,
    "machine_model": {}, "evidence": {}, "merkle_root": manifest.merkle_root([("sda", 5000, bytes(32))]).hex()}
