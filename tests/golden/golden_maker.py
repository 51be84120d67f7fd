# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a good golden repository: what captures write, and by hand what only later writers will."""

import hashlib
import json
import os
import random
import shutil
import sys
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import conftest  # noqa: E402,F401  pylint: disable=unused-import

from ansible_collections.agnostic.recovery.plugins.module_utils.image import capture, index, manifest, passes  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import NONE, Zlib, new_compressor  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import CHUNK, MANIFEST, NO_KEY_ID, PAGE, Sealer  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.exporting import export_image  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import repository as repositories, slots  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey, Passphrase  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges  # noqa: E402

CHUNK_SIZE = 4096
PASSPHRASE = "Gr\u00fc\u00dfe aus dem Tresor"
KEY_FILE = bytes(range(64))      # has a zero: its file is taken for the binary that it is
START = 1790000000.25            # 2026-09-21T13:33:20Z
RANDOM = random.Random("agnostic.recovery")
MACHINE = {"name": "shop", "notes": ["made by tests/golden/make.py"]}


def noise(count):
    return bytes(RANDOM.getrandbits(8) for _unused in range(count))


class Clock:
    """Gives a later second at every look."""
    now = START

    def __call__(self):
        Clock.now += 1
        return Clock.now


def text(seed, count):
    lines = b"".join(b"%s line %d\n" % (seed, number) for number in range(count // 8))
    return lines[:count]


class Stored:
    """A compressor that gains nothing."""
    codec = NONE

    @staticmethod
    def compress(data):
        return data


def disk(name, content, used=None):
    ranges = Ranges([(0, len(content))] if used is None else used)
    parts = ({"partition": 1, "kind": "ext4"},)
    return capture.CaptureDisk(name, len(content), 512, lambda offset, length: content[offset:offset + length], ranges, parts)


def expected(content, used=None):
    plain = bytearray(len(content))
    for start, end in Ranges([(0, len(content))] if used is None else used):
        plain[start:end] = content[start:end]
    return {"size": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}


class Maker:
    """One golden repository."""

    def __init__(self, name, encrypted):
        self.name = name
        self.path = os.path.join(HERE, name)
        shutil.rmtree(self.path, ignore_errors=True)
        self.encrypted = encrypted
        self.store = DirectoryStore(self.path)
        key = Passphrase(PASSPHRASE) if encrypted else NoKey()
        repositories.init_repository(self.store, key, CHUNK_SIZE, encrypted=encrypted)
        self.repository = repositories.open_repository(self.store, key)
        if encrypted:
            info, secrets = self.repository.info, self.repository.secrets
            slots.add_slot(self.store, info.id, secrets, Passphrase(PASSPHRASE), "for FIPS hosts", info.created, "pbkdf2-hmac-sha512")
            slots.add_slot(self.store, info.id, secrets, KeyFile(KEY_FILE), "key file", info.created)
        self.images = {}

    def capture(self, machine, compressor, *disks):
        with mock.patch.object(passes, "new_compressor", compressor):
            image = capture.capture_image(self.repository, machine, dict(MACHINE, name=machine), [disk(*each) for each in disks],
                                          "offline", {"how": "golden"}, NoProgress(), workers=1)
        self.images[image.id] = {each[0]: expected(*each[1:]) for each in disks}
        return image.id

    def seal_chunk(self, plain, compressor, chunk_id=None):
        key = self.repository.new_data_key()
        sealer = Sealer(CHUNK, self.repository, key and key.key, key.id if key else NO_KEY_ID, compressor)
        return bytes(sealer.seal(chunk_id or self.repository.chunk_ids.of(plain), plain))

    def seal_page(self, plain):
        page_id = self.repository.page_ids.of(plain)
        return page_id, bytes(Sealer(PAGE, self.repository, self.repository.page_key, NO_KEY_ID, Zlib()).seal(page_id, plain))

    def seal_manifest(self, image_id, plain):
        sealer = Sealer(MANIFEST, self.repository, self.repository.manifest_key, NO_KEY_ID, Zlib())
        return bytes(sealer.seal(image_id.encode("utf-8"), plain))

    def manifest_fields(self, image_id):
        return json.loads(manifest._encode(manifest.read_manifest(self.repository, image_id)).decode("ascii"))

    def by_hand(self, machine):
        """An image of what no capture of this version writes: two packs, chunks of later generations, seven entries a page, all codecs."""
        chunks = [text(b"pack %d" % number, CHUNK_SIZE) for number in range(4)] + [noise(CHUNK_SIZE), text(b"short", 1234)]
        ids = [self.repository.chunk_ids.of(plain) for plain in chunks]
        compressors = [new_compressor(CHUNK_SIZE), Zlib(), Stored, new_compressor(CHUNK_SIZE), Stored, Zlib()]
        sealed = [self.seal_chunk(plain, compressor) for plain, compressor in zip(chunks, compressors)]
        packs = [sealed[0] + sealed[1], b"\0" * 10 + sealed[2]]
        pack_ids = [hashlib.sha256(pack).digest() for pack in packs]
        for pack_id, pack in zip(pack_ids, packs):
            self.store.put_new("packs/{0}/{1}".format(pack_id.hex()[:2], pack_id.hex()), pack)
        for number, generation in ((3, 1), (4, 0), (5, 4294967295)):
            self.store.put_new(index.chunk_name(ids[number], generation), sealed[number])
        entry = index._ENTRY.pack
        zero, free = entry(1, 0, 0, 0, 0, 0, bytes(32)), bytes(52)
        entries = [entry(2, 1, 0, 0, 0, len(sealed[0]), ids[0]), entry(2, 1, 0, 1, 10, len(sealed[2]), ids[2]), zero, free,
                   entry(2, 1, 0, 0, len(sealed[0]), len(sealed[1]), ids[1]), entry(2, 0, 0, 1, 0, 0, ids[3]), entry(2, 0, 0, 0, 0, 0, ids[4]),
                   entry(2, 0, 0, 1, 0, 0, ids[3]), entry(2, 0, 0, 4294967295, 0, 0, ids[5])]
        first = index._HEADER.pack(1, 2, 0, 7) + b"".join(pack_ids) + b"".join(entries[:7])
        second = index._HEADER.pack(1, 0, 0, 2) + b"".join(entries[7:])
        pages = b""
        for plain in (first, second):
            page_id, page = self.seal_page(plain)
            self.store.put_new(index.page_name(page_id), page)
            pages += page_id
        plain = b"".join([chunks[0], chunks[2], bytes(2 * CHUNK_SIZE), chunks[1], chunks[3], chunks[4], chunks[3], chunks[5]])
        image_id = manifest.new_image_id(machine, Clock()())
        info = manifest.DiskInfo("by hand", len(plain), 4096, len(plain), len(plain) - 2 * CHUNK_SIZE)
        image = manifest.ImageInfo(image_id, machine, manifest.iso_time(Clock.now), "crash", "",
                                   (info,), len(plain), len(plain), 1, 1, 0.5, ("a warning",))
        sealed = manifest.seal_manifest(self.repository, manifest.Manifest(
            image, CHUNK_SIZE, 7, (manifest.ManifestDisk(info, pages, ()),), dict(MACHINE, name=machine), {},
            manifest.merkle_root([("by hand", len(plain), pages)])))
        self.store.put_new(manifest.object_name(image_id), sealed)
        self.images[image_id] = {"by hand": expected(plain)}
        self.pack = "packs/{0}/{1}".format(pack_ids[1].hex()[:2], pack_ids[1].hex())
        return image_id

    def make(self):
        zstd = new_compressor
        base = text(b"root", 3 * CHUNK_SIZE) + noise(CHUNK_SIZE) + bytes(2 * CHUNK_SIZE) + text(b"usr", 2 * CHUNK_SIZE) + b"odd end"
        later = base[:CHUNK_SIZE] + text(b"changed", CHUNK_SIZE) + base[2 * CHUNK_SIZE:]
        wide = bytearray(9 * (1 << 20) + 123)            # three index pages, mostly unallocated
        wide[5 << 20:(5 << 20) + 6000] = text(b"wide", 6000)
        wide[-100:] = text(b"tail", 100)
        used = [(5 << 20, (5 << 20) + 6000), (len(wide) - 100, len(wide))]
        self.first = self.capture("shop", zstd, ("sda", base), ("sdb", bytes(wide), used))
        self.second = self.capture("shop", lambda size: Zlib(), ("sda", later), ("sdb", bytes(wide), used))
        self.capture("\u00fcber ~1", lambda size: Stored, ("/dev/vda", b"x"), ("vdb", base[:CHUNK_SIZE]))
        self.third = self.by_hand("shop")
        self.store.put_new("reserved/unknown", b"objects of unknown kinds are ignored\n")
        export_image(self.repository, self.second, self.path + ".zia", NoProgress(), workers=1, overwrite=True)
        self.store.close()
        shutil.rmtree(os.path.join(self.path, "tmp"), ignore_errors=True)
