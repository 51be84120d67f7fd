# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-alone reader of ZIA repositories and ZIA files.

Written from docs/format.md alone, to prove that the document is enough; it shares no code with the engine. Section numbers below are
those of the document. Needs Python 3.6 or newer and the packages cryptography and zstandard.

    zia_reader.py list    REPOSITORY [--passphrase-file FILE | --key-file FILE]
    zia_reader.py restore REPOSITORY IMAGE FOLDER [--passphrase-file FILE | --key-file FILE]

REPOSITORY is the folder of a directory repository, or a ZIA file. Each disk is restored to FOLDER/<disk>.raw.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import unicodedata
import urllib.parse
import zlib

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KIB, MIB = 1 << 10, 1 << 20
MOST_OBJECT, MOST_ROOT, MOST_SLOT = 128 * MIB, 64 * KIB, 64 * KIB
MOST_PAGE, MOST_MANIFEST, MOST_RING = MIB, 64 * MIB, MIB
ZERO = bytes(32)
HEADER = struct.Struct(">4sBBBB32s12sIII")
ENTRY = struct.Struct(">BBHIQI32s")
SEGMENT = re.compile(r"[A-Za-z0-9_~%-][A-Za-z0-9._~%-]{0,254}\Z")


class Unreadable(Exception):
    """The repository is damaged, of another version, or the key does not open it."""


def need(condition, message):
    if not condition:
        raise Unreadable(message)


# The objects of a repository, by name: a folder, or a ZIA file (section 15)


class Folder(object):
    def __init__(self, path):
        self.path = path

    def names(self, prefix):
        """The names of the objects below prefix, which ends with a slash."""
        for folder, folders, files in os.walk(os.path.join(self.path, prefix)):
            folders.sort()
            for name in sorted(files):
                yield os.path.relpath(os.path.join(folder, name), self.path)

    def read(self, name, most=MOST_OBJECT, offset=0, length=None):
        """The object, or a stretch of it."""
        need(all(SEGMENT.match(segment) for segment in name.split("/")), "%r is no object name" % name)
        try:
            with open(os.path.join(self.path, name), "rb") as file:
                file.seek(offset)
                data = file.read(most + 1 if length is None else length)
        except (FileNotFoundError, NotADirectoryError):
            raise Unreadable("%s is missing" % name)
        need(len(data) <= most, "%s is larger than %d bytes" % (name, most))
        return data


class File(object):
    """A ZIA file: found once from front to end, then read by name."""

    BLOCK = 512

    def __init__(self, path):
        self.file = open(path, "rb")
        self.digest = hashlib.sha256()
        self.members = {}
        objects = -1
        while "end.json" not in self.members:
            so_far = self.digest.hexdigest()
            self._member()
            objects += 1
        need(self.file.read() == bytes(2 * self.BLOCK), "the ZIA file does not end after its end mark")
        mark = {"kind": "agnostic.recovery image file", "objects": objects, "sha256": so_far}
        need(self.read("end.json", MOST_ROOT) == canonical(mark) + b"\n", "the ZIA file is damaged: SHA-256 and end mark do not agree")

    def _take(self, length):
        data = self.file.read(length)
        need(len(data) == length, "the ZIA file is truncated")
        self.digest.update(data)
        return data

    def _take_padding(self, size):
        need(not any(self._take(-size % self.BLOCK)), "the padding of an object in the ZIA file is not zero")

    def _member(self):
        block = self._take(self.BLOCK)
        name, size = self._header(block)
        if block[156:157] == b"x":
            need(size <= 2 * KIB, "an extended header of the ZIA file is too long")
            record = self._take(size)
            self._take_padding(size)
            match = re.match(br"([0-9]+) path=([^\n]*)\n\Z", record)
            need(match and int(match.group(1)) == size, "an extended header of the ZIA file is damaged")
            block = self._take(self.BLOCK)
            size = self._header(block)[1]
            name = match.group(2).decode("ascii", "replace")
        need(block[156:157] == b"0", "the ZIA file contains something that is no regular file")
        need(all(SEGMENT.match(segment) for segment in name.split("/")), "%r is no object name" % name)
        need(size <= MOST_OBJECT, "%s is larger than %d bytes" % (name, MOST_OBJECT))
        self.members[name] = (self.file.tell(), size)
        left = size
        while left:
            left -= len(self._take(min(left, MIB)))
        self._take_padding(size)

    @staticmethod
    def _header(block):
        total = sum(block[:148]) + 8 * 32 + sum(block[156:])
        need(block[257:265] == b"ustar\x0000" and block[148:156] == b"%06o\0 " % total, "a header of the ZIA file is damaged")
        need(re.match(br"[0-7]{11}\0", block[124:136]), "a header of the ZIA file is damaged")
        return block[:100].rstrip(b"\0").decode("ascii", "replace"), int(block[124:135], 8)

    def names(self, prefix):
        return (name for name in sorted(self.members) if name.startswith(prefix))

    def read(self, name, most=MOST_OBJECT, offset=0, length=None):
        need(name in self.members, "%s is missing" % name)
        start, size = self.members[name]
        need(length is not None or size <= most, "%s is larger than %d bytes" % (name, most))
        self.file.seek(start + offset)
        return self.file.read(max(0, min(size - offset, size if length is None else length)))


# Encodings


def load_object(data, what):
    """A JSON object of ASCII text."""
    try:
        value = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise Unreadable("%s is no JSON text" % what)
    need(isinstance(value, dict), "%s is no JSON object" % what)
    return value


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def number(value, least, most, what):
    need(isinstance(value, int) and not isinstance(value, bool) and least <= value <= most, "%s is %.80r" % (what, value))
    return value


def text(value, what):
    need(isinstance(value, str), "%s is no text" % what)
    return value


def unhex(value, length, what):
    need(isinstance(value, str) and re.match(r"[0-9a-f]{%d}\Z" % (2 * length), value), "%s is not %d bytes in hexadecimal" % (what, length))
    return bytes.fromhex(value)


def unbase64(value, what):
    try:
        return base64.b64decode(text(value, what).encode("ascii"), validate=True)
    except ValueError:
        raise Unreadable("%s is no Base64" % what)


def hkdf(secret, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info, backend=default_backend()).derive(secret)


def open_sealed(key, nonce, sealed, bound, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except (InvalidTag, ValueError):
        raise Unreadable("%s: authentication failed" % what)


def public_of(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def exchange(secret, public, what):
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Unreadable("%s has a wrong public key" % what)


# Key slots (section 3)


def wrapping_key(slot, passphrase, key_file):
    """The 32-byte key of a slot, or None when the slot is for another kind of key."""
    salt = unbase64(slot.get("salt"), "salt")
    if slot["type"] == "key-file":
        return key_file and hkdf(key_file, salt, b"agnostic.recovery key file slot 1")
    if not passphrase:
        return None
    if slot["type"] == "scrypt":
        n, r, p = (number(slot.get(field), 1, 1 << 30, field) for field in "nrp")
        need(128 * r * (n + p) <= 1 << 30 and n * r * p <= 1 << 27, "a slot asks for too much memory or time")
        try:
            return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=(1 << 30) + (1 << 26), dklen=32)
        except ValueError:
            raise Unreadable("a slot has wrong scrypt parameters")
    return hashlib.pbkdf2_hmac("sha512", passphrase, salt, number(slot.get("iterations"), 1, 20000000, "iterations"), 32)


def open_slot(data, repository, passphrase, key_file):
    """The secrets (id key, index key, private keys, the slot's private key), or None when this slot is not meant."""
    slot = load_object(data, "slot")
    if slot.get("repository") != repository or slot.get("type") not in ("scrypt", "pbkdf2-hmac-sha512", "key-file"):
        return None
    checksum = hashlib.sha256(canonical({field: slot[field] for field in slot if field != "checksum"})).hexdigest()
    need(slot.get("checksum") == checksum, "checksum is wrong")
    need(number(slot.get("format_version"), 1, 1 << 30, "format_version") == 1, "format version %s is newer" % slot["format_version"])
    key = wrapping_key(slot, passphrase, key_file)
    if key is None:
        return None
    bound = {field: slot[field] for field in slot if field not in ("wrapped", "checksum")}
    plain = open_sealed(key, unbase64(slot.get("nonce"), "nonce"), unbase64(slot.get("wrapped"), "wrapped"),
                        b"agnostic.recovery key slot\0" + canonical(bound), "slot")
    secrets = load_object(plain, "secrets")
    need(isinstance(secrets.get("private_keys"), list), "private_keys is no list")
    keys = [unbase64(secrets.get("id_key"), "id_key"), unbase64(secrets.get("index_key"), "index_key")]
    private = [unbase64(key, "private key") for key in secrets["private_keys"]]
    need(private and all(len(key) == 32 for key in keys + private), "a secret is not 32 bytes long")
    return keys[0], keys[1], private, hkdf(key, bytes.fromhex(repository), b"zia/1 key slot recipient")


# The repository


class Repository(object):
    def __init__(self, store, passphrase=None, key_file=None):
        self.store = store
        self._read_root()
        self.encrypted = self.root["suite"] != "none"
        self.data_keys = {}
        if self.encrypted:
            need(passphrase or key_file, "the repository is encrypted: give --passphrase-file or --key-file")
            self._unlock(unicodedata.normalize("NFC", passphrase).encode("utf-8") if passphrase else None, key_file)
        else:
            need(not (passphrase or key_file), "a key was given, but the repository says that it is not encrypted")

    def _read_root(self):
        data = self.store.read("repository.json", MOST_ROOT)
        self.root = root = load_object(data, "repository.json")
        version = number(root.get("format_version"), 1, 1 << 62, "format_version of repository.json")
        need(version == 1, "the repository has format version %d; this reader knows version 1" % version)
        need(data == canonical(root) + b"\n", "repository.json is not canonical")
        checksum = hashlib.sha256(canonical({field: root[field] for field in root if field != "checksum"})).hexdigest()
        need(root.get("checksum") == checksum, "repository.json is damaged: its checksum is wrong")
        need(root.get("kind") == "agnostic.recovery repository", "repository.json is of another kind")
        need(root.get("suite") in ("aes-256-gcm", "none"), "suite %r is unknown" % root.get("suite"))
        self.id = unhex(root.get("id"), 16, "id of repository.json")
        self.chunk_size = number(root.get("chunk_size"), 4096, 8 * MIB, "chunk_size")
        need(self.chunk_size & (self.chunk_size - 1) == 0, "chunk_size is no power of two")

    def _unlock(self, passphrase, key_file):
        need(key_file is None or len(key_file) >= 32, "a key file has at least 32 bytes")
        secrets, reasons, slot = None, [], ""
        for name in self.store.names("keys/slots/"):
            try:
                secrets = open_slot(self.store.read(name, MOST_SLOT), self.root["id"], passphrase, key_file)
            except Unreadable as error:
                reasons.append("%s: %s" % (name, error))
            if secrets:
                slot = name.rpartition("/")[2]
                break
        need(secrets, "no key slot opens with this key (%s)" % ("; ".join(reasons) or "there is none of its kind"))
        self.id_key, index_key, private_keys, slot_key = secrets
        root_key, self.page_key, self.page_name_key, self.manifest_key = (
            hkdf(index_key, self.id, b"zia/1 " + use) for use in (b"repository root", b"index page", b"index page name", b"manifest"))
        fields = {field: self.root[field] for field in self.root if field not in ("mac", "checksum")}
        mac = hmac.new(root_key, canonical(fields), hashlib.sha256).hexdigest()
        need(hmac.compare_digest(mac, text(self.root.get("mac"), "mac")), "repository.json was altered: its mac is wrong")
        known = {public_of(secret): secret for secret in private_keys}
        first = unhex(self.root.get("public_key"), 32, "public_key of repository.json")
        need(public_of(private_keys[-1]) == first, "public_key of repository.json is not that of the private key")
        self._follow_keyrings(first, slot, slot_key, known)
        self.private = {hashlib.sha256(public).digest()[:16]: (secret, public) for public, secret in known.items()}

    def _follow_keyrings(self, first, slot, slot_key, known):
        """Section 3: adds to `known` (public key: private key) the private keys of later epochs. Keyrings that do not fit are passed over."""
        believed = [first]
        for name in self.store.names("keys/rings/" + self.root["id"] + "/"):
            try:
                ring = load_object(self.store.read(name, MOST_RING), name)
                epochs = [unhex(public, 32, "public key") for public in ring.get("public_keys")]
                need(epochs[-len(believed):] == believed, "%s does not continue the one before" % name)
                granted = dict(known)
                for before, public in zip(epochs[:0:-1], epochs[-2::-1]):
                    if public not in granted:
                        granted[public] = self._granted(public, slot, slot_key, granted[before])
                fields = {field: ring[field] for field in ring if field not in ("mac", "checksum")}
                mac = hmac.new(hkdf(granted[epochs[0]], self.id, b"zia/1 keyring"), canonical(fields), hashlib.sha256).hexdigest()
                need(hmac.compare_digest(mac, text(ring.get("mac"), "mac")), "%s was altered" % name)
            except (Unreadable, TypeError):
                continue
            believed = epochs
            known.update(granted)

    def _granted(self, public, slot, slot_key, proof):
        """The private key of an epoch, which is sealed to the slot."""
        name = "keys/grants/%s/%s" % (hashlib.sha256(public).hexdigest()[:32], slot)
        data = self.store.read(name)
        recipient = public_of(slot_key)
        need(len(data) == 104 and data[:8] == b"ZIAG\x01\x01\0\0", "%s is no grant of version 1" % name)
        need(data[8:24] == hashlib.sha256(recipient).digest()[:16], "%s is for another slot" % name)
        key = hkdf(exchange(slot_key, data[24:56], name) + proof, data[24:56] + recipient, b"zia/1 epoch grant")
        private = open_sealed(key, bytes(12), data[56:], data[:56] + self.id + public, name)
        need(public_of(private) == public, "%s holds another key" % name)
        return private

    def data_key(self, key_id):
        """Section 4."""
        if key_id not in self.data_keys:
            name = "keys/data/" + key_id.hex()
            data = self.store.read(name)
            need(hashlib.sha256(data).digest() == key_id, "%s is damaged" % name)
            need(len(data) == 104 and data[:8] == b"ZIAK\x01\x01\0\0", "%s is no data key of version 1" % name)
            need(data[8:24] in self.private, "%s is sealed to a key that no slot holds" % name)
            secret, public = self.private[data[8:24]]
            key = hkdf(exchange(secret, data[24:56], name), data[24:56] + public, b"zia/1 data key")
            self.data_keys[key_id] = open_sealed(key, bytes(12), data[56:], data[:56] + self.id, name)
        return self.data_keys[key_id]

    def open_envelope(self, data, magic, object_id, most, name):
        """The plain content of a chunk, page or manifest (section 6), not yet checked against its id."""
        need(len(data) >= 80, "%s is truncated" % name)
        kind, version, suite, codec, zero, key_id, nonce, length, payload, zeros = HEADER.unpack(data[:64])
        need(len(data) == 80 + payload, "%s has a wrong length: truncated or damaged" % name)
        need(kind == magic, "%s does not begin with %s" % (name, magic.decode("ascii")))
        need(version == 1, "%s has envelope version %d" % (name, version))
        need(suite == (1 if self.encrypted else 0), "%s has suite %d" % (name, suite))
        need(codec <= 2 and zero == zeros == 0, "%s has a damaged header" % name)
        need(length <= most and payload <= most, "%s says it has %d bytes" % (name, length))
        bound = data[:64] + self.id + object_id
        if suite:
            need((magic == b"ZIAC") or key_id == ZERO, "%s has a damaged header" % name)
            key = {b"ZIAC": lambda: self.data_key(key_id), b"ZIAP": lambda: self.page_key, b"ZIAM": lambda: self.manifest_key}[magic]()
            packed = open_sealed(key, nonce, data[64:], bound, name)
        else:
            need(key_id == ZERO and nonce == bytes(12), "%s has a damaged header" % name)
            packed = data[64:-16]
            need(hashlib.sha256(bound + packed).digest()[:16] == data[-16:], "%s: its tag is wrong" % name)
        plain = decompress(packed, codec, length)
        need(plain is not None and len(plain) == length, "%s does not decompress to its length" % name)
        return plain

    def chunk_id(self, plain):
        return hmac.new(self.id_key, plain, hashlib.sha256).digest() if self.encrypted else hashlib.sha256(plain).digest()

    def page_id(self, plain):
        return hmac.new(self.page_name_key, plain, hashlib.sha256).digest() if self.encrypted else hashlib.sha256(plain).digest()

    def images(self):
        """The image ids, sorted by machine and time (section 8)."""
        found = []
        for name in self.store.names("images/"):
            match = re.match(r"images/([^/]+)/([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})\Z", name)
            if match:
                found.append(urllib.parse.unquote(match.group(1)) + "/" + match.group(2))
        return sorted(found)

    def manifest(self, image_id):
        machine, _slash, moment = image_id.rpartition("/")
        name = "images/%s/%s" % (encode_machine(machine), moment)
        manifest = load_object(self.open_envelope(self.store.read(name), b"ZIAM", image_id.encode("utf-8"), MOST_MANIFEST, name), name)
        version = number(manifest.get("format_version"), 1, 1 << 62, "format_version of " + name)
        need(version == 1, "%s has format version %d; this reader knows version 1" % (name, version))
        need(manifest.get("id") == image_id and manifest.get("machine") == machine, "%s is the manifest of another image" % name)
        need(manifest.get("chunk_size") == self.chunk_size, "%s has another chunk size than the repository" % name)
        per_page = number(manifest.get("entries_per_page"), 1, 4096, "entries_per_page of " + name)
        need(isinstance(manifest.get("disks"), list), "%s has no list of disks" % name)
        disks = [Disk(disk, self.chunk_size, per_page) for disk in manifest["disks"]]
        need(len(set(disk.name for disk in disks)) == len(disks), "%s names a disk twice" % name)
        need(tree([disk.digest() for disk in disks]).hex() == manifest.get("merkle_root"), "%s: its Merkle root is wrong" % name)
        return disks

    def page(self, page_id, count):
        """The entries of a page (section 7): (chunk id, object name, offset and length in a pack or None), or None for zeros."""
        name = "index/%s/%s" % (page_id.hex()[:2], page_id.hex())
        plain = self.open_envelope(self.store.read(name), b"ZIAP", page_id, MOST_PAGE, name)
        need(self.page_id(plain) == page_id, "%s is not the page of its name" % name)
        need(len(plain) >= 8, "%s is too short" % name)
        version, zero, packs, _generation, entries = struct.unpack(">BBHHH", plain[:8])
        need(version == 1, "%s has page version %d" % (name, version))
        need(zero == 0 and packs <= 4096 and entries == count and len(plain)
             == 8 + 32 * packs + 52 * entries, "%s has a wrong length" % name)
        table = [plain[8 + 32 * number:40 + 32 * number] for number in range(packs)]
        for fields in ENTRY.iter_unpack(plain[8 + 32 * packs:]):
            state, kind, zero, number, offset, length, chunk_id = fields
            need(state <= 2 and kind <= 1 and zero == 0, "%s has a damaged entry" % name)
            if state < 2:
                need(fields[1:] == (0, 0, 0, 0, 0, ZERO), "%s has a damaged entry" % name)
                yield None
            elif kind == 0:
                need(offset == length == 0, "%s has a damaged entry" % name)
                suffix = ".%d" % number if number else ""
                yield chunk_id, "chunks/%s/%s%s" % (chunk_id.hex()[:2], chunk_id.hex(), suffix), None
            else:
                need(number < packs and length, "%s has a damaged entry" % name)
                yield chunk_id, "packs/%s/%s" % (table[number].hex()[:2], table[number].hex()), (offset, length)

    def chunk(self, chunk_id, name, stretch):
        if stretch is None:
            data = self.store.read(name)
        else:
            need(stretch[1] <= self.chunk_size + 80, "a chunk in %s is too long" % name)
            data = self.store.read(name, offset=stretch[0], length=stretch[1])
            need(len(data) == stretch[1], "%s is truncated" % name)
        plain = self.open_envelope(data, b"ZIAC", chunk_id, self.chunk_size, name)
        need(self.chunk_id(plain) == chunk_id, "%s: the content is not that of the id" % name)
        return plain

    def restore(self, disk, out):
        """Write the disk to a file open for writing, which is empty and becomes sparse."""
        position = 0
        for page_id, count in disk.pages():
            for entry in self.page(page_id, count):
                length = min(self.chunk_size, disk.size - position)
                if entry:
                    plain = self.chunk(*entry)
                    need(len(plain) == length, "%s has %d bytes, not %d" % (entry[1], len(plain), length))
                    out.seek(position)
                    out.write(plain)
                position += length
        out.truncate(disk.size)


class Disk(object):
    def __init__(self, fields, chunk_size, per_page):
        need(isinstance(fields, dict), "a disk of the manifest is no object")
        self.name = text(fields.get("name"), "name of a disk")
        self.size = number(fields.get("size"), 1, 1 << 62, "size of disk " + self.name)
        self.chunks, self.per_page = -(-self.size // chunk_size), per_page
        ids = unbase64(fields.get("pages"), "pages of disk " + self.name)
        need(len(ids) == 32 * -(-self.chunks // per_page), "disk %s has not as many pages as its size needs" % self.name)
        self.page_ids = [ids[at:at + 32] for at in range(0, len(ids), 32)]

    def pages(self):
        """(page id, number of its entries) of each page."""
        return ((page_id, min(self.per_page, self.chunks - at * self.per_page)) for at, page_id in enumerate(self.page_ids))

    def digest(self):
        try:
            name = self.name.encode("utf-8")
        except UnicodeEncodeError:
            raise Unreadable("the name of a disk is no text")
        need(len(name) < 1 << 16, "the name of a disk is too long")
        return hashlib.sha256(b"\x02" + struct.pack(">H", len(name)) + name + struct.pack(">Q", self.size) + tree(self.page_ids)).digest()


def tree(items):
    level = [hashlib.sha256(b"\0" + item).digest() for item in items] or [hashlib.sha256(b"\0").digest()]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs):]
    return level[0]


def encode_machine(machine):
    encoded = urllib.parse.quote(machine, safe="~")
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def decompress(packed, codec, length):
    """The content, or None when it is not one complete stream of exactly that length."""
    if codec == 0:
        return packed
    try:
        if codec == 1:
            stream = zlib.decompressobj()
            plain = stream.decompress(packed, length + 1)
            return plain if stream.eof and not stream.unused_data else None
        frame = zstandard.get_frame_parameters(packed)
        if frame.content_size != length or frame.window_size > 8 * MIB:
            return None
        return zstandard.ZstdDecompressor().decompress(packed)
    except (zlib.error, zstandard.ZstdError):
        return None


def main():
    parser = argparse.ArgumentParser(description="Read a ZIA repository or file.")
    parser.add_argument("action", choices=("list", "restore"))
    parser.add_argument("repository")
    parser.add_argument("image", nargs="?")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--passphrase-file")
    parser.add_argument("--key-file")
    options = parser.parse_args()
    passphrase = key_file = None
    if options.passphrase_file:
        with open(options.passphrase_file, encoding="utf-8") as file:
            passphrase = file.read().rstrip("\n")
    if options.key_file:
        with open(options.key_file, "rb") as file:
            key_file = file.read()
    try:
        store = Folder(options.repository) if os.path.isdir(options.repository) else File(options.repository)
        repository = Repository(store, passphrase, key_file)
        if options.action == "list":
            for image in repository.images():
                print(image)
            return
        os.makedirs(options.folder, exist_ok=True)
        for disk in repository.manifest(options.image):
            path = os.path.join(options.folder, encode_machine(disk.name) + ".raw")
            with open(path, "wb") as out:
                repository.restore(disk, out)
            print("%s  %s" % (path, disk.size))
    except Unreadable as error:
        sys.exit("zia_reader: %s" % error)


if __name__ == "__main__":
    main()
