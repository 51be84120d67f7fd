#!/usr/bin/env python3
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the golden repositories of format version 1. Run by hand, once: what it made is frozen, and no test runs it.

    encrypted/ plain/     repositories that must be read
    encrypted.zia …       images of them as files
    passphrase key-file   what opens the encrypted ones
    crafted/<case>/       objects that only a writer with the keys could make, and that must be refused
    golden.json           what the images restore to, and the damaged cases: how a repository is damaged, and what is said of it

Content, keys, nonces and times come from a fixed seed, so a second run with the same libraries makes the same bytes.
"""

import hashlib
import json
import os
import random
import shutil
import sys
import zlib
from unittest import mock

import zstandard

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import conftest  # noqa: E402,F401  pylint: disable=unused-import

from ansible_collections.agnostic.recovery.plugins.module_utils.image import capture, index, manifest  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import NONE, ZLIB, ZSTD, Zlib, new_compressor  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import CHUNK, MANIFEST, NO_KEY_ID, PAGE, Sealer  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.exporting import export_image  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import crypto, datakey, repository as repositories, slots  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey, Passphrase  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges  # noqa: E402

CHUNK_SIZE = 4096
PASSPHRASE = "Gr\u00fc\u00dfe aus dem Tresor"
KEY_FILE = bytes(range(7, 71))
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


class Given:
    """A compressor whose result is given beforehand."""

    def __init__(self, codec, payload):
        self.codec = codec
        self.compress = lambda data: payload


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
        self.cases = []

    def capture(self, machine, compressor, *disks):
        with mock.patch.object(capture, "new_compressor", compressor):
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
        return bytes(Sealer(MANIFEST, self.repository, self.repository.manifest_key, NO_KEY_ID, Zlib()).seal(image_id.encode("utf-8"), plain))

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
        first = index._HEADER.pack(1, 2, 7) + b"".join(pack_ids) + b"".join(entries[:7])
        second = index._HEADER.pack(1, 0, 2) + b"".join(entries[7:])
        pages = b""
        for plain in (first, second):
            page_id, page = self.seal_page(plain)
            self.store.put_new(index.page_name(page_id), page)
            pages += page_id
        plain = b"".join([chunks[0], chunks[2], bytes(2 * CHUNK_SIZE), chunks[1], chunks[3], chunks[4], chunks[3], chunks[5]])
        image_id = manifest.new_image_id(machine, Clock()())
        info = manifest.DiskInfo("by hand", len(plain), 4096, len(plain), len(plain) - 2 * CHUNK_SIZE)
        image = manifest.ImageInfo(image_id, machine, manifest.iso_time(Clock.now), "crash", "", (info,), len(plain), len(plain), 1, 1, 0.5, ("a warning",))
        manifest.write_manifest(self.repository, manifest.Manifest(
            image, CHUNK_SIZE, 7, (manifest.ManifestDisk(info, pages, ()),), dict(MACHINE, name=machine), {},
            manifest.merkle_root([("by hand", len(plain), pages)])))
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

    # -- damaged ones -------------------------------------------------------------------------------------------------------

    def case(self, name, damage, engine, reader, image=None, key="key-file", crafted=None, repository=None):
        """`damage` is a list of steps on the files of the repository; `crafted` are objects that replace those of their names."""
        name = "{0}-{1}".format(self.name, name)
        for object_name, data in (crafted or {}).items():
            path = os.path.join(HERE, "crafted", name, object_name)
            os.makedirs(os.path.dirname(path))
            with open(path, "wb") as file:
                file.write(data)
        self.cases.append({"name": name, "repository": repository or self.name, "key": key if self.encrypted else "", "damage": damage, "crafted": bool(crafted),
                           "image": image or self.second, "engine": engine, "reader": reader})

    def damage(self):
        repository, image = self.repository, manifest.read_manifest(self.repository, self.second)
        pages = [image.disks[0].pages[:32], image.disks[1].pages[32:64]]
        page = index.PageStore(repository).load(pages[0], 9)
        chunks = [page.location(entry).name for entry in (0, 1, 2)]
        page_names = [index.page_name(each) for each in pages]
        manifest_name, other_manifest = manifest.object_name(self.second), manifest.object_name(self.first)
        bad = "authentication tag does not match" if self.encrypted else "checksum does not match"
        refused = "authentication failed" if self.encrypted else "tag is wrong"
        where = "Data of machine shop, disk sda, byte %d, image {0} cannot be restored: ".format(self.second)

        for kind, name, place in (("chunk", chunks[1], where % 4096), ("page", page_names[0], where % 0), ("manifest", manifest_name, "")):
            damaged = {"type": "DamagedObjectError", "match": place + ".*" + name + ".*damaged: "}
            for byte, what in ((0, "begin as it must"), (4, "format 0, which"), (5, "suite is not"), (7, "reserved field"), (55, "larger than|" + bad),
                               (59, "length is not|larger than"), (62, "reserved field"), (64, bad), (-1, bad)):
                self.case("%s-byte-%d" % (kind, byte), [["flip", name, byte]], dict(damaged, match=damaged["match"] + ".*(" + what + ")"), name)
            self.case(kind + "-cut", [["cut", name, -1]], dict(damaged, match=damaged["match"] + "its length"), name + ".*truncated")
            self.case(kind + "-empty", [["cut", name, 0]], dict(damaged, match=damaged["match"] + "it is cut short"), name + ".*truncated")
        gone = {"type": "DamagedObjectError", "match": "is missing in the repository"}
        self.case("chunk-missing", [["remove", chunks[1]]], dict(gone, match=where % 4096 + ".*" + chunks[1] + " is missing"), chunks[1] + " is missing")
        self.case("page-missing", [["remove", page_names[0]]], gone, page_names[0] + " is missing")
        self.case("manifest-missing", [["remove", manifest_name]], {"type": "RepositoryError", "match": "There is no image " + self.second},
                  manifest_name + " is missing")
        wrong = {"type": "DamagedObjectError", "match": bad + "|wrong number of entries"}
        self.case("chunks-exchanged", [["exchange", chunks[0], chunks[1]]], wrong, refused)
        self.case("pages-exchanged", [["exchange", page_names[0], page_names[1]]], wrong, refused)
        self.case("manifests-exchanged", [["exchange", manifest_name, other_manifest]], wrong, refused)
        self.case("pack-cut", [["cut", self.pack, -1]], {"type": "DamagedObjectError", "match": "packs/.*cut short"}, "packs/.*truncated", self.third)
        self.case("pack-missing", [["remove", self.pack]], gone, "packs/.* is missing", self.third)
        self.case("pack-byte", [["flip", self.pack, 100]], wrong, refused, self.third)
        self._damage_root()
        self._damage_file(chunks[1], chunks[0], refused)
        self._craft(page, pages[0], chunks[1], manifest_name)
        if self.encrypted:
            self._damage_keys(chunks[1])

    def _damage_root(self):
        with open(os.path.join(self.path, "repository.json"), "rb") as file:
            root = json.loads(file.read().decode("ascii"))
        root.pop("checksum")
        damaged = {"type": "DamagedObjectError", "match": "repository.json of the repository at .* is damaged"}
        missing = {"type": "RepositoryError", "match": "There is no repository at .*: it holds no repository.json"}
        self.case("root-byte", [["flip", "repository.json", 20]], damaged, "repository.json")
        self.case("root-cut", [["cut", "repository.json", -2]], damaged, "repository.json is no JSON text")
        self.case("root-missing", [["remove", "repository.json"]], missing, "repository.json is missing")
        self.case("root-newer", [], {"type": "RepositoryError", "match": "format version 2; this version .* reads up to 1"}, "format version 2",
                  crafted={"repository.json": json.dumps(dict(root, format_version=2, suite="new"), indent=1).encode("ascii")})
        encode = repositories._encode_root
        for name, change in (("no-size", {"chunk_size": 5000}), ("no-id", {"id": "x" * 32}), ("no-suite", {"suite": "rot13"}), ("no-number", {"chunk_size": "4096"})):
            self.case("root-" + name, [], damaged, "repository.json|chunk_size|suite", crafted={"repository.json": encode(dict(root, **change))})
        pretty = json.dumps(json.loads(encode(root).decode("ascii")), indent=1, sort_keys=True).encode("ascii") + b"\n"
        self.case("root-not-canonical", [], damaged, "not canonical", crafted={"repository.json": pretty})
        deep = b'{"format_version":' + b"[" * 3000 + b"]" * 3000 + b"}"
        self.case("root-deep", [], damaged, "no JSON text", crafted={"repository.json": deep})
        if self.encrypted:
            altered = {"type": "DamagedObjectError", "match": "repository.json .* was altered: its authentication code"}
            self.case("root-altered", [], altered, "was altered", crafted={"repository.json": encode(dict(root, chunk_size=8192))})
            plain = {name: value for name, value in root.items() if name != "mac"}
            self.case("root-without-encryption", [], {"type": "KeyAccessError", "match": "is not encrypted, but a key was given"}, "a key was given",
                      crafted={"repository.json": encode(dict(plain, suite="none", public_key=""))})

    def _damage_file(self, chunk, other_chunk, refused):
        with open(self.path + ".zia", "rb") as file:
            whole = file.read()
        content = whole.index(b"ZIAC", whole.index(chunk.encode("ascii")))
        damaged = {"type": "DamagedObjectError", "match": "The file file.zia is damaged"}
        for name, step, engine, reader in (
                ("cut-in-header", ["cut", "", 300], "cut short", "truncated"), ("cut-in-chunk", ["cut", "", content + 70], "cut short", "truncated"),
                ("cut-between", ["cut", "", content - 512], "cut short", "truncated"), ("cut-before-end", ["cut", "", -2560], "cut short", "truncated"),
                ("cut-by-a-byte", ["cut", "", -1], "cut short", "does not end"), ("longer", ["append", "", "x"], "end as it must", "does not end"),
                ("name-byte", ["flip", "", 3], "header in it is not valid", "header .* is damaged"),
                ("size-byte", ["flip", "", 134], "header in it is not valid", "header .* is damaged"),
                ("chunk-byte", ["flip", "", content + 70], chunk, "SHA-256"), ("padding-byte", ["flip", "", whole.index(b"ZIAM") - 513], "not zero", "padding"),
                ("end-byte", ["flip", "", -1500], "checksum at its end", "SHA-256|no JSON|end mark"),
                ("end-padding", ["flip", "", -1025], "not zero", "padding")):
            self.case("file-" + name, [step], dict(damaged, match=damaged["match"] + ".*" + engine), reader, repository=self.name + ".zia")
        self.case("file-empty", [["cut", "", 0]], dict(damaged, match=damaged["match"] + ": it is cut short"), "truncated", repository=self.name + ".zia")
        for name, step, engine, reader in (
                ("lacks-a-chunk", ["lack", "", chunk], "The file file.zia is not complete: it lacks " + chunk, chunk + " is missing"),
                ("exchanged-chunks", ["give", "", chunk, other_chunk], "The file file.zia is damaged. The object chunks/", refused),
                ("lacks-its-manifest", ["lack", "", "images/"], "does not begin with", "images/.* is missing"),
                ("lacks-its-root", ["lack", "", "repository.json"], "does not begin with", "repository.json is missing")):
            self.case("file-" + name, [step], {"type": "DamagedObjectError", "match": engine}, reader, repository=self.name + ".zia")

    def _damage_keys(self, chunk):
        names = sorted(slots.list_slots(self.store, self.repository.info.id), key=lambda slot: slot.type)
        key_file, _pbkdf2, scrypt = (slot.object for slot in names)
        no_slot = {"type": "KeyAccessError", "match": "No key slot opens with this key file; not every slot could be tried: .*" + key_file}
        self.case("slot-byte", [["flip", key_file, 30]], no_slot, key_file, key="key-file")
        self.case("slot-cut", [["cut", key_file, 100]], no_slot, key_file, key="key-file")
        self.case("slots-missing", [["remove", slot.object] for slot in names], {"type": "KeyAccessError", "match": "no key slot for a key file"},
                  "no key slot opens", key="key-file")
        self.case("wrong-key-file", [], {"type": "KeyAccessError", "match": "The key file is wrong"}, "no key slot opens", key="wrong-key-file")
        fields = json.loads(self.store.get(scrypt).decode("ascii"))
        fields.pop("checksum")
        others = [["remove", slot.object] for slot in names if slot.type != "scrypt"]
        for name, change in (("memory", {"n": 1 << 24}), ("work", {"p": 1 << 12}), ("parallel", {"n": 2, "r": 1, "p": 1 << 26}),
                             ("infinite", {"n": float("inf")}), ("nothing", {"salt": None}), ("newer", {"format_version": 2})):
            self.case("slot-" + name, others, {"type": "KeyAccessError", "match": "No key slot opens .* not every slot could be tried"}, "no key slot opens",
                      key="passphrase", crafted={scrypt: json.dumps(dict(fields, checksum=slots._checksum(dict(fields, **change)), **change)).encode("ascii")})
        with open(os.path.join(self.path, chunk), "rb") as file:
            data_key = datakey.PREFIX + file.read(40)[8:].hex()
        other = next(name for name in self.store.list(datakey.PREFIX) if name != data_key)
        damaged = {"type": "DamagedObjectError", "match": chunk + " cannot be opened. The data key " + data_key + " is damaged"}
        for byte in (0, 20, 30, 103):
            self.case("data-key-byte-%d" % byte, [["flip", data_key, byte]], damaged, data_key)
        self.case("data-key-cut", [["cut", data_key, -1]], damaged, data_key)
        self.case("data-keys-exchanged", [["exchange", data_key, other]], damaged, data_key)
        self.case("data-key-missing", [["remove", data_key]], {"type": "DamagedObjectError", "match": data_key + " is missing"}, data_key + " is missing")

    def _craft(self, page, page_id, chunk, manifest_name):
        """Objects that are authentic and yet wrong."""
        fields = self.manifest_fields(self.second)
        damaged = {"type": "DamagedObjectError", "match": "The manifest of image .* is damaged: "}
        disks = fields["disks"]
        twins = [disks[0], dict(disks[1], name=disks[0]["name"])]
        root = manifest.merkle_root([(each["name"], each["size"], manifest.base64.b64decode(each["pages"])) for each in twins]).hex()
        for name, change, what, reader in (
                ("newer", {"format_version": 2}, "format version 2", "format version 2"),
                ("merkle", {"merkle_root": "00" * 32}, "Merkle root", "Merkle root"),
                ("other-size", {"disks": [dict(disks[0], size=disks[0]["size"] + 1), disks[1]]}, "Merkle root", "Merkle root"),
                ("other-chunks", {"chunk_size": 8192}, "wrong number|Merkle|chunk size", "chunk size"),
                ("twins", {"disks": twins, "merkle_root": root}, "same name", "twice"),
                ("no-disks", {"disks": None}, "wrong type", "no list of disks"),
                ("huge", {"disks": [dict(disks[0], size=1 << 63)]}, "out of bounds", "size of disk"),
                ("deep", {"machine_model": None}, "wrong type", "no JSON text")):
            plain = json.dumps(dict(fields, **change), sort_keys=True, separators=(",", ":")).encode("ascii")
            if name == "deep":
                plain = plain.replace(b'"machine_model":null', b'"machine_model":' + b'{"a":' * 100000 + b"0" + b"}" * 100000)
            self.case("manifest-" + name, [], dict(damaged, match=damaged["match"] + ".*(" + what + ")"), reader,
                      crafted={manifest_name: self.seal_manifest(self.second, plain)})
        self.case("manifest-digits", [], dict(damaged, match=damaged["match"] + ".*too large"), "no JSON text|size of disk",
                  crafted={manifest_name: self.seal_manifest(self.second, json.dumps(fields).replace(str(disks[0]["size"]), "9" * 100000).encode("ascii"))})
        self._craft_pages(page_id)
        self._craft_chunks(page, chunk)

    def _craft_pages(self, page_id):
        """Pages whose content is not that of the name, sealed to the name all the same."""
        name = index.page_name(page_id)
        builder = index.PageBuilder(9)
        sealer = Sealer(PAGE, self.repository, self.repository.page_key, NO_KEY_ID, Zlib())
        self.case("page-other-content", [], {"type": "DamagedObjectError", "match": name + " is damaged: its content is not what its name says"},
                  "is not the page of its name", crafted={name: bytes(sealer.seal(page_id, builder.data()))})

    def _craft_chunks(self, page, name):
        chunk_id = page.chunk_id(1)
        damaged = {"type": "DamagedObjectError", "match": name + " is damaged: "}
        zeros = bytes(100 << 20)
        bomb, deflated = zstandard.ZstdCompressor(level=1).compress(zeros), zlib.compress(zeros, 9)
        unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(CHUNK_SIZE))
        for case, compressor, what in (
                ("other-content", Zlib(), "its content is not what its name says"), ("zstd-bomb", Given(ZSTD, bomb), "decompress to its length"),
                ("zlib-bomb", Given(ZLIB, deflated[:4000]), "decompress to its length"), ("zstd-unsized", Given(ZSTD, unsized), "decompress to its length"),
                ("zstd-noise", Given(ZSTD, b"no frame"), "decompress"), ("zlib-noise", Given(ZLIB, b"no stream"), "decompress"),
                ("zlib-more", Given(ZLIB, zlib.compress(bytes(CHUNK_SIZE)) + b"x"), "decompress"), ("codec", Given(9, b"new"), "codec 9 is not known")):
            plain = bytes(CHUNK_SIZE)
            with mock.patch.object(self.repository, "new_data_key", self._a_data_key):
                sealed = self.seal_chunk(plain, compressor, chunk_id)
            self.case("chunk-" + case, [], dict(damaged, match=damaged["match"] + ".*" + what), name, crafted={name: sealed})

    def _a_data_key(self):
        """A data key that is in the golden repository already."""
        if not self.encrypted:
            return None
        key_id = bytes.fromhex(next(self.store.list(datakey.PREFIX))[len(datakey.PREFIX):])
        return datakey.DataKey(key_id, self.repository.data_key(key_id))


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(data)


def main():
    shutil.rmtree(os.path.join(HERE, "crafted"), ignore_errors=True)
    write("passphrase", PASSPHRASE.encode("utf-8") + b"\n")
    write("key-file", KEY_FILE)
    write("wrong-key-file", KEY_FILE[::-1])
    with mock.patch("os.urandom", noise), mock.patch("time.time", Clock()), mock.patch("time.monotonic", lambda: 1.0), \
            mock.patch.object(repositories, "new_private_key", lambda: noise(32)), \
            mock.patch.object(datakey, "new_private_key", lambda: noise(32)), \
            mock.patch.object(repositories.time, "gmtime", lambda seconds=START, gmtime=__import__("time").gmtime: gmtime(seconds)):
        makers = [Maker("encrypted", True), Maker("plain", False)]
        for maker in makers:
            maker.make()
            maker.damage()
            maker.store.close()
            shutil.rmtree(os.path.join(maker.path, "tmp"), ignore_errors=True)
    golden = {"repositories": {maker.name: {"id": maker.repository.info.id, "images": maker.images, "file": maker.second} for maker in makers},
              "damaged": [case for maker in makers for case in maker.cases]}
    lines = ['"repositories": ' + json.dumps(golden["repositories"], indent=1, sort_keys=True),
             '"damaged": [\n' + ",\n".join(json.dumps(case, sort_keys=True) for case in golden["damaged"]) + "\n]"]
    write("golden.json", ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))


if __name__ == "__main__":
    main()
