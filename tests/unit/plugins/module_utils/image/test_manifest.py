# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: listing and choosing images, and what is refused."""

import hashlib
import json
import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import manifest as module
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import ZLIB
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import (
    find_image, image_ids, list_images, merkle_root, new_image_id, newest_images, object_name, read_manifest, seal_manifest)


@pytest.fixture(name="written")
def fixture_written(repository, capture, memory_disk):
    """An image of every machine and time in a list; returns ids."""
    template = read_manifest(repository, capture(memory_disk("sda", b"x" * 5000, [(0, 5000)]), machine="template").id)

    def written(*ids):
        for image_id in ids:
            info = template.info._replace(id=image_id, machine=image_id.rpartition("/")[0])
            assert repository.store.put_new(object_name(info.id), seal_manifest(repository, template._replace(info=info)))
        return template
    return written


A, B, C = "shop/20261122T010203Z-00000001", "shop/20261122T010203Z-10000001", "shop/20261123T000000Z-00000001"


def test_choosing(repository, written):
    written(B, A, C, "web/20270101T000000Z-00000000")
    assert list(image_ids(repository, "shop")) == [A, B, C]
    for wanted, found in (("latest", C), (A, A), (B.partition("/")[2], B), ("2026-11-22T01:02:03Z", B), ("2026-11-22 23:59", B),
                          ("2030-01-01T00:00", C)):
        assert find_image(repository, "shop", wanted).id == found
    assert find_image(repository, "other", A).id == A
    with pytest.raises(RepositoryError, match="has no image from 2026-11-22T01:02:02Z or before .*Its newest of 3 images: "):
        find_image(repository, "shop", "2026-11-22T01:02:02Z")
    with pytest.raises(RepositoryError, match="Machine db has no image .*Machines that have images: shop, template, web"):
        find_image(repository, "db", "latest")
    with pytest.raises(RepositoryError, match="names no image: give \"latest\""):
        find_image(repository, "shop", "yesterday")
    with pytest.raises(RepositoryError, match="There is no image shop/20000101T000000Z-00000000"):
        find_image(repository, "shop", "shop/20000101T000000Z-00000000")


def test_the_newest_of_each_machine(repository, written):
    web, young = "web/20261122T000000Z-00000000", "young/20270101T000000Z-00000000"
    written(A, B, C, web, young)
    found = [manifest.info.id for manifest, _damaged in newest_images(repository)]
    assert found[0] == C and found[-2:] == [web, young] and len(found) == 4
    assert [manifest.info.id for manifest, _damaged in newest_images(repository, "2026-11-22T12:00:00Z")] == [B, web]
    with pytest.raises(RepositoryError, match="names no image"):
        list(newest_images(repository, "yesterday"))


def test_the_newest_that_is_not_damaged(repository, written):
    written(A, B)
    for image_id in (C, "web/20261122T000000Z-00000000"):
        assert repository.store.put_new(object_name(image_id), b"not a manifest")
    found = {(manifest and manifest.info.id): damaged for manifest, damaged in newest_images(repository)}
    assert len(found[B]) == len(found[None]) == 1 and C in found[B][0] and "is damaged" in found[None][0]


def test_an_empty_repository_says_so(repository):
    with pytest.raises(RepositoryError, match="It holds no images yet"):
        find_image(repository, "shop", "latest")
    assert list_images(repository) == []


@pytest.mark.parametrize("machine", ["shop", "..", ".", "a/b", "web server \u00fc", "%2E", "-x", "tmp", "a" * 80, "a.b"])
def test_any_machine_name(repository, written, machine):
    image_id = new_image_id(machine, 1795300000.25)
    written(image_id)
    assert image_id in list(image_ids(repository)) and list(image_ids(repository, machine)) == [image_id]
    assert find_image(repository, machine, "latest").machine == machine
    assert object_name(image_id).startswith("images/") and object_name(image_id).count("/") == 2


@pytest.mark.parametrize("image_id", ["", "shop", "shop/", "shop/x", "/20261122T010203Z-00000001", "shop/20261122T010203Z-0000000G",
                                      "shop/../x"])
def test_what_is_no_image_id(repository, image_id):
    with pytest.raises(RepositoryError):
        read_manifest(repository, image_id)


def test_ids_sort_by_time():
    ids = [new_image_id("m", 1795300000 + number / 100) for number in range(300)]
    assert ids == sorted(ids) and len(set(ids)) == 300


def test_an_image_is_committed_once(repository, written):
    template = written(A)
    again = template._replace(info=template.info._replace(id=A, machine="shop"))
    assert not repository.store.put_new(object_name(A), seal_manifest(repository, again))


def test_a_manifest_under_another_name_is_refused(repository, written):
    written(A)
    os.rename(os.path.join(repository.store.path, object_name(A)), os.path.join(repository.store.path, object_name(B)))
    with pytest.raises(DamagedObjectError, match=f"The manifest of image {B} .* is damaged"):
        read_manifest(repository, B)


def test_every_flipped_byte_and_every_length(repository, written):
    written(A)
    path = os.path.join(repository.store.path, object_name(A))
    with open(path, "rb") as file:
        content = file.read()
    variants = [content[:at] + bytes((content[at] ^ 1,)) + content[at + 1:] for at in range(len(content))]
    variants += [content[:length] for length in range(len(content))] + [content + b"\0"]
    for variant in variants:
        with open(path, "wb") as file:
            file.write(variant)
        with pytest.raises(DamagedObjectError, match=f"The manifest of image {A} .* is damaged: "):
            read_manifest(repository, A)


def test_a_damaged_manifest_does_not_hide_others(repository, written):
    written(A, B)
    os.truncate(os.path.join(repository.store.path, object_name(A)), 50)
    with pytest.raises(DamagedObjectError):
        list_images(repository, "shop")
    damaged = []
    assert [info.id for info in list_images(repository, "shop", damaged)] == [B]
    assert len(damaged) == 1 and A in damaged[0]


def fields_of(written):
    return json.loads(module._encode(written()).decode("ascii"))


@pytest.mark.parametrize("change", [
    {"format_version": 2}, {"format_version": None}, {"disks": None}, {"disks": [1]}, {"id": "other"}, {"machine": "other"},
    {"merkle_root": "00" * 32}, {"merkle_root": "x"}, {"chunk_size": 0}, {"chunk_size": "4096"},
    {"entries_per_page": 0}, {"entries_per_page": 5000}, {"warnings": 5}])
def test_wrong_fields(repository, written, change):
    fields = fields_of(written)
    image_id = fields["id"]
    fields.update(change)
    with pytest.raises(ValueError):
        module._decode(json.dumps(fields).encode("ascii"), image_id)


@pytest.mark.parametrize("change", [{"size": 0}, {"size": -1}, {"size": 1 << 63}, {"size": "1"}, {"size": 9000000}, {"pages": "AAAA"},
                                    {"pages": "?"}, {"pages": 1}, {"name": 5}, {"map": 5}, {"used": None}])
def test_wrong_disk_fields(repository, written, change):
    fields = fields_of(written)
    fields["disks"][0].update(change)
    with pytest.raises(ValueError):
        module._decode(json.dumps(fields).encode("ascii"), fields["id"])


def test_where_the_machine_can_be_recovered(repository, written):
    """Kept as it was written; the words are told with each image."""
    told = {"reason": "", "notes": [], "later": 1, "targets": [
        {"target": "kvm", "verdict": "with_changes", "changes": 9}, {"target": "aws-nitro", "verdict": "no", "errors": ["Install it."]},
        {"target": "later", "verdict": "a verdict of a later version"}]}
    template = written()
    assert template.recoverability == {} and template.info.recoverable == {}
    image = template._replace(info=template.info._replace(id=A, machine="shop"), recoverability=told)
    repository.store.put_new(object_name(A), seal_manifest(repository, image))
    read = read_manifest(repository, A)
    assert read.recoverability == told
    assert read.info.recoverable == {"kvm": "with_changes", "aws-nitro": "no", "later": "a verdict of a later version"}
    assert find_image(repository, "shop").recoverable == read.info.recoverable
    assert "recoverable" not in json.loads(module._encode(read).decode("ascii"))


@pytest.mark.parametrize("value,words", [
    (None, {}), (5, {}), ([], {}), ("no", {}), ({}, {}), ({"targets": 5}, {}), ({"targets": {"kvm": "no"}}, {}),
    ({"targets": [1, None, [], {}, {"target": "kvm"}, {"target": 1, "verdict": "no"}, {"target": "kvm", "verdict": ["no"]},
                  {"target": "x" * 65, "verdict": "no"}, {"target": "aws-xen", "verdict": "no"}]}, {"aws-xen": "no"})])
def test_another_form_of_it_keeps_nobody_from_restoring(repository, written, value, words):
    fields = fields_of(written)
    fields["recoverability"] = value
    read = module._decode(json.dumps(fields).encode("ascii"), fields["id"])
    assert read.info.recoverable == words and isinstance(read.recoverability, dict)


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"[" * 100000, b"\xff", b"1"])
def test_no_manifest_at_all(text):
    with pytest.raises(ValueError):
        module._decode(text, A)


def test_the_merkle_root_by_hand():
    def sha(data):
        return hashlib.sha256(data).digest()

    pages = [os.urandom(32) for _unused in range(3)]
    leaves = [sha(b"\0" + page) for page in pages]
    tree = sha(b"\1" + sha(b"\1" + leaves[0] + leaves[1]) + leaves[2])
    disk = sha(b"\2" + b"\0\3sda" + (12345).to_bytes(8, "big") + tree)
    assert merkle_root([("sda", 12345, b"".join(pages))]) == sha(b"\0" + disk)
    assert merkle_root([("sda", 12345, b"".join(pages)), ("sdb", 1, b"")]) == sha(
        b"\1" + sha(b"\0" + disk) + sha(b"\0" + sha(b"\2" + b"\0\3sdb" + (1).to_bytes(8, "big") + sha(b"\0"))))


def test_manifests_compress(repository, written):
    assert repository.store.get(object_name(written().info.id))[6] == ZLIB
