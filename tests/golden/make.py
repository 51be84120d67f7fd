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

import json
import os
import shutil
import zlib
from unittest import mock

import zstandard

from golden_maker import CHUNK_SIZE, HERE, KEY_FILE, PASSPHRASE, START, Clock, Maker, noise

from ansible_collections.agnostic.recovery.plugins.module_utils.image import index, manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import ZLIB, ZSTD, Zlib
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import NO_KEY_ID, PAGE, Sealer
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import datakey, sealing, repository as repositories, slots


class Given:
    """A compressor whose result is given beforehand."""

    def __init__(self, codec, payload):
        self.codec = codec
        self.compress = lambda data: payload


class DamagedMaker(Maker):
    """Damages the repository in every way: `cases` says how, and what is said of it."""

    def __init__(self, name, encrypted):
        super().__init__(name, encrypted)
        self.cases = []

    def case(self, name, damage, engine, reader, image=None, key="key-file", crafted=None, repository=None):
        """`damage` is a list of steps on the files of the repository; `crafted` are objects that replace those of their names."""
        name = "{0}-{1}".format(self.name, name)
        for object_name, data in (crafted or {}).items():
            path = os.path.join(HERE, "crafted", name, object_name)
            os.makedirs(os.path.dirname(path))
            with open(path, "wb") as file:
                file.write(data)
        self.cases.append({"name": name, "repository": repository or self.name, "key": key if self.encrypted else "",
                          "damage": damage, "crafted": bool(crafted), "image": image or self.second, "engine": engine, "reader": reader})

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
            for byte, what in ((0, "begin as it must"), (4, "format 0, which"), (5, "suite is not"), (7, "reserved field"),
                               (55, "larger than|" + bad), (59, "length is not|larger than"), (62, "reserved field"), (64, bad), (-1, bad)):
                self.case("%s-byte-%d" % (kind, byte), [["flip", name, byte]],
                          dict(damaged, match=damaged["match"] + ".*(" + what + ")"), name)
            self.case(kind + "-cut", [["cut", name, -1]], dict(damaged, match=damaged["match"] + "its length"), name + ".*truncated")
            self.case(kind + "-empty", [["cut", name, 0]], dict(damaged, match=damaged["match"] + "it is cut short"), name + ".*truncated")
        gone = {"type": "DamagedObjectError", "match": "is missing in the repository"}
        self.case("chunk-missing", [["remove", chunks[1]]], dict(gone, match=where %
                  4096 + ".*" + chunks[1] + " is missing"), chunks[1] + " is missing")
        self.case("page-missing", [["remove", page_names[0]]], gone, page_names[0] + " is missing")
        self.case("manifest-missing", [["remove", manifest_name]], {"type": "RepositoryError", "match": "There is no image " + self.second},
                  manifest_name + " is missing")
        wrong = {"type": "DamagedObjectError", "match": bad + "|wrong number of entries"}
        self.case("chunks-exchanged", [["exchange", chunks[0], chunks[1]]], wrong, refused)
        self.case("pages-exchanged", [["exchange", page_names[0], page_names[1]]], wrong, refused)
        self.case("manifests-exchanged", [["exchange", manifest_name, other_manifest]], wrong, refused)
        self.case("pack-cut", [["cut", self.pack, -1]], {"type": "DamagedObjectError",
                  "match": "packs/.*cut short"}, "packs/.*truncated", self.third)
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
        self.case("root-newer",
                  [],
                  {"type": "RepositoryError",
                   "match": "format version 2; this version .* reads up to 1"},
                  "format version 2",
                  crafted={"repository.json": json.dumps(dict(root,
                                                              format_version=2,
                                                              suite="new"),
                                                         indent=1).encode("ascii")})
        encode = repositories._encode_root
        for name, change in (("no-size", {"chunk_size": 5000}), ("no-id", {"id": "x" * 32}),
                             ("no-suite", {"suite": "rot13"}), ("no-number", {"chunk_size": "4096"})):
            self.case("root-" + name, [], damaged, "repository.json|chunk_size|suite",
                      crafted={"repository.json": encode(dict(root, **change))})
        pretty = json.dumps(json.loads(encode(root).decode("ascii")), indent=1, sort_keys=True).encode("ascii") + b"\n"
        self.case("root-not-canonical", [], damaged, "not canonical", crafted={"repository.json": pretty})
        deep = b'{"format_version":' + b"[" * 3000 + b"]" * 3000 + b"}"
        # Pythons differ in how deep a text they parse, so the reader may also find the value itself wrong.
        self.case("root-deep", [], damaged, "no JSON text|format_version of repository.json is", crafted={"repository.json": deep})
        if self.encrypted:
            altered = {"type": "DamagedObjectError", "match": "repository.json .* was altered: its authentication code"}
            self.case("root-altered", [], altered, "was altered", crafted={"repository.json": encode(dict(root, chunk_size=8192))})
            plain = {name: value for name, value in root.items() if name != "mac"}
            self.case(
                "root-without-encryption",
                [],
                {
                    "type": "KeyAccessError",
                    "match": "is not encrypted, but a key was given"},
                "a key was given",
                crafted={
                    "repository.json": encode(
                        dict(
                            plain,
                            suite="none",
                            public_key=""))})

    def _damage_file(self, chunk, other_chunk, refused):
        with open(self.path + ".zia", "rb") as file:
            whole = file.read()
        content = whole.index(b"ZIAC", whole.index(chunk.encode("ascii")))
        damaged = {"type": "DamagedObjectError", "match": "The file file.zia is damaged"}
        for name, step, engine, reader in (
                ("cut-in-header", ["cut", "", 300], "cut short", "truncated"),
                ("cut-in-chunk", ["cut", "", content + 70], "cut short", "truncated"),
                ("cut-between", ["cut", "", content - 512], "cut short", "truncated"),
                ("cut-before-end", ["cut", "", -2560], "cut short", "truncated"),
                ("cut-by-a-byte", ["cut", "", -1], "cut short", "does not end"),
                ("longer", ["append", "", "x"], "end as it must", "does not end"),
                ("name-byte", ["flip", "", 3], "header in it is not valid", "header .* is damaged"),
                ("size-byte", ["flip", "", 134], "header in it is not valid", "header .* is damaged"),
                ("chunk-byte", ["flip", "", content + 70], chunk, "SHA-256"),
                ("padding-byte", ["flip", "", whole.index(b"ZIAM") - 513], "not zero", "padding"),
                ("end-byte", ["flip", "", -1500], "checksum at its end", "SHA-256|no JSON|end mark"),
                ("end-padding", ["flip", "", -1025], "not zero", "padding")):
            self.case("file-" + name, [step], dict(damaged, match=damaged["match"] + ".*" + engine), reader, repository=self.name + ".zia")
        self.case("file-empty", [["cut", "", 0]], dict(damaged, match=damaged["match"] +
                  ": it is cut short"), "truncated", repository=self.name + ".zia")
        for name, step, engine, reader in (
                ("lacks-a-chunk", ["lack", "", chunk], "The file file.zia is not complete: it lacks " + chunk, chunk + " is missing"),
                ("exchanged-chunks", ["give", "", chunk, other_chunk], "The file file.zia is damaged. The object chunks/", refused),
                ("lacks-its-manifest", ["lack", "", "images/"], "does not begin with", "images/.* is missing"),
                ("lacks-its-root", ["lack", "", "repository.json"], "does not begin with", "repository.json is missing")):
            self.case("file-" + name, [step], {"type": "DamagedObjectError", "match": engine}, reader, repository=self.name + ".zia")

    def _damage_keys(self, chunk):
        names = sorted(slots.list_slots(self.store, self.repository.info.id), key=lambda slot: slot.type)
        key_file, _pbkdf2, scrypt = (slots.PREFIX + slot.name for slot in names)
        no_slot = {"type": "KeyAccessError", "match": "No key slot opens with this key file; not every slot could be tried: .*" + key_file}
        self.case("slot-byte", [["flip", key_file, 30]], no_slot, key_file, key="key-file")
        self.case("slot-cut", [["cut", key_file, 100]], no_slot, key_file, key="key-file")
        self.case("slots-missing", [["remove", slots.PREFIX + slot.name] for slot in names],
                  {"type": "KeyAccessError", "match": "no key slot for a key file"}, "no key slot opens", key="key-file")
        self.case("wrong-key-file", [], {"type": "KeyAccessError", "match": "The key file is wrong"},
                  "no key slot opens", key="wrong-key-file")
        fields = json.loads(self.store.get(scrypt).decode("ascii"))
        fields.pop("checksum")
        others = [["remove", slots.PREFIX + slot.name] for slot in names if slot.type != "scrypt"]
        for name, change in (("memory", {"n": 1 << 24}), ("work", {"p": 1 << 12}), ("parallel", {"n": 2, "r": 1, "p": 1 << 26}),
                             ("infinite", {"n": float("inf")}), ("nothing", {"salt": None}), ("newer", {"format_version": 2})):
            self.case(
                "slot-" + name,
                others,
                {
                    "type": "KeyAccessError",
                    "match": "No key slot opens .* not every slot could be tried"},
                "no key slot opens",
                key="passphrase",
                crafted={
                    scrypt: json.dumps(
                        dict(
                            fields,
                            checksum=slots._checksum(
                                dict(
                                    fields,
                                    **change)),
                            **change)).encode("ascii")})
        with open(os.path.join(self.path, chunk), "rb") as file:
            data_key = datakey.PREFIX + file.read(40)[8:].hex()
        other = next(name for name in self.store.list(datakey.PREFIX) if name != data_key)
        damaged = {"type": "DamagedObjectError", "match": chunk + " cannot be opened. The data key " + data_key + " is damaged"}
        for byte in (0, 20, 30, 103):
            self.case("data-key-byte-%d" % byte, [["flip", data_key, byte]], damaged, data_key)
        self.case("data-key-cut", [["cut", data_key, -1]], damaged, data_key)
        self.case("data-keys-exchanged", [["exchange", data_key, other]], damaged, data_key)
        self.case("data-key-missing", [["remove", data_key]],
                  {"type": "DamagedObjectError", "match": data_key + " is missing"}, data_key + " is missing")

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
        digits = json.dumps(fields).replace(str(disks[0]["size"]), "9" * 100000).encode("ascii")
        self.case("manifest-digits", [], dict(damaged, match=damaged["match"] + ".*too large"), "no JSON text|size of disk",
                  crafted={manifest_name: self.seal_manifest(self.second, digits)})
        self._craft_pages(page_id)
        self._craft_chunks(page, chunk)

    def _craft_pages(self, page_id):
        """Pages whose content is not that of the name, sealed to the name all the same."""
        name = index.page_name(page_id)
        builder = index.PageBuilder(9)
        sealer = Sealer(PAGE, self.repository, self.repository.page_key, NO_KEY_ID, Zlib())
        self.case(
            "page-other-content",
            [],
            {
                "type": "DamagedObjectError",
                "match": name +
                " is damaged: its content is not what its name says"},
            "is not the page of its name",
            crafted={
                name: bytes(
                    sealer.seal(
                        page_id,
                        builder.data()))})

    def _craft_chunks(self, page, name):
        chunk_id = page.chunk_id(1)
        damaged = {"type": "DamagedObjectError", "match": name + " is damaged: "}
        zeros = bytes(100 << 20)
        bomb, deflated = zstandard.ZstdCompressor(level=1).compress(zeros), zlib.compress(zeros, 9)
        unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(CHUNK_SIZE))
        for case, compressor, what in (
                ("other-content", Zlib(), "its content is not what its name says"),
                ("zstd-bomb", Given(ZSTD, bomb), "decompress to its length"),
                ("zlib-bomb", Given(ZLIB, deflated[:4000]), "decompress to its length"),
                ("zstd-unsized", Given(ZSTD, unsized), "decompress to its length"),
                ("zstd-noise", Given(ZSTD, b"no frame"), "decompress"), ("zlib-noise", Given(ZLIB, b"no stream"), "decompress"),
                ("zlib-more", Given(ZLIB, zlib.compress(bytes(CHUNK_SIZE)) + b"x"), "decompress"),
                ("codec", Given(9, b"new"), "codec 9 is not known")):
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
            mock.patch.object(sealing, "new_private_key", lambda: noise(32)), \
            mock.patch.object(repositories.time, "gmtime", lambda seconds=START, gmtime=__import__("time").gmtime: gmtime(seconds)):
        makers = [DamagedMaker("encrypted", True), DamagedMaker("plain", False)]
        for maker in makers:
            maker.make()
            maker.damage()
            maker.store.close()
            for folder in ("sessions", "tmp"):               # no part of what a reader needs
                shutil.rmtree(os.path.join(maker.path, folder), ignore_errors=True)
    golden = {"repositories": {maker.name: {"id": maker.repository.info.id, "images": maker.images, "file": maker.second}
                               for maker in makers}, "damaged": [case for maker in makers for case in maker.cases]}
    lines = ['"repositories": ' + json.dumps(golden["repositories"], indent=1, sort_keys=True),
             '"damaged": [\n' + ",\n".join(json.dumps(case, sort_keys=True) for case in golden["damaged"]) + "\n]"]
    write("golden.json", ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))


if __name__ == "__main__":
    main()
