# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and restore together, on disks in memory and a repository in a directory."""

import os
import struct
import threading

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import (
    DamagedObjectError, KeyAccessError, RepositoryError, SourceError, TargetError)
from ansible_collections.agnostic.recovery.plugins.module_utils.image import codec
from ansible_collections.agnostic.recovery.plugins.module_utils.image import index as index_module
from ansible_collections.agnostic.recovery.plugins.module_utils.image import capture as capture_module
from ansible_collections.agnostic.recovery.plugins.module_utils.image import writer as writer_module
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import (
    list_images, merkle_root, object_name, read_manifest, seal_manifest)
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import CancelledError, NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import export_capture_credential, open_repository

CHUNK_SIZE = 4096


@pytest.fixture(name="small_pages", autouse=True)
def fixture_small_pages(monkeypatch):
    """Pages of few entries, so that small disks have many."""
    for module in (index_module, writer_module):
        monkeypatch.setattr(module, "ENTRIES_PER_PAGE", 8)


@pytest.fixture(name="restored")
def fixture_restored(repository, tmp_path):
    def restored(info, *names, **options):
        paths = {name: str(tmp_path / f"{info.id.rpartition('/')[2]}-{name}.raw") for name in names or [disk.name for disk in info.disks]}
        restore_image(repository, info.id, paths, NoProgress(), **options)
        contents = []
        for path in paths.values():
            with open(path, "rb") as file:
                contents.append(file.read())
            assert not os.path.exists(path + ".partial")
            os.unlink(path)
        return contents
    return restored


@pytest.mark.parametrize("seed", range(12))
def test_a_restored_disk_equals_the_used_part(capture, restored, repository, memory_disk, seed):
    disks = [memory_disk.random(seed), memory_disk.random(seed + 1000, name="sdb")]
    info = capture(*disks, workers=1 + seed % 4)
    assert restored(info, workers=1 + seed % 3) == [disk.expected() for disk in disks]
    assert verify(repository, level="full").problems == ()


@pytest.mark.parametrize("size", [1, 511, 4095, 4096, 4097, 8 * 4096, 8 * 4096 + 1])
def test_odd_sizes(capture, restored, memory_disk, size):
    disk = memory_disk("sda", os.urandom(size), [(0, size)])
    assert restored(capture(disk)) == [disk.content]


def test_a_disk_without_any_used_byte(capture, restored, memory_disk):
    disk = memory_disk("sda", os.urandom(100000), [])
    info = capture(disk)
    assert restored(info) == [bytes(100000)]
    assert (info.used, info.stored_new_objects) == (0, 2)        # the empty page, and the shorter one at the end


def test_free_bytes_inside_a_chunk_never_reach_the_repository(capture, restored, repository, memory_disk):
    content = b"SECRET" * 2000
    disk = memory_disk("sda", content, [(6, 12), (4000, 4006), (9000, 9001)])
    assert restored(capture(disk)) == [disk.expected()]
    chunk = repository.chunk_ids.of(disk.expected()[:4096])
    assert repository.store.size(index_module.chunk_name(chunk)) is not None


def test_image_info(capture, repository, memory_disk):
    disk = memory_disk.random(5)
    info = capture(disk)
    assert info == read_manifest(repository, info.id).info
    assert info.machine == "shop" and info.id.startswith("shop/2") and info.created.endswith("Z") and len(info.created) == 20
    assert (info.consistency, info.parent, info.size, info.used) == ("offline", "", len(disk.content), disk.ranges.total)
    stored = sum(repository.store.size(name) for prefix in ("chunks/", "index/") for name in repository.store.list(prefix))
    assert info.stored_new == stored
    manifest = read_manifest(repository, info.id)
    assert manifest.machine == {"name": "shop"} and manifest.evidence == {"how": "test"}
    assert manifest.disks[0].map == ({"partition": 1, "kind": "ext4"},)


def test_an_unchanged_disk_stores_nothing_more(capture, repository, memory_disk):
    disk = memory_disk.random(6, size=200000)
    first = capture(disk)
    before = sorted(repository.store.list(""))
    second = capture(disk)
    assert (second.stored_new, second.stored_new_objects, second.parent) == (0, 0, first.id)
    new = {name for name in set(repository.store.list("")) - set(before) if not name.startswith("sessions/")}
    assert new == {object_name(second.id)}


def test_an_incremental_stores_only_the_changed_chunk_and_its_page(capture, restored, repository, memory_disk):
    content = bytearray(os.urandom(40 * CHUNK_SIZE))
    disk = memory_disk("sda", content, [(0, len(content))])
    first = capture(disk)
    before, old = set(repository.store.list("")), bytes(content)
    content[20 * CHUNK_SIZE + 5] ^= 1
    second = capture(disk)
    added = {name.partition("/")[0] for name in set(repository.store.list("")) - before}
    assert second.stored_new_objects == 2 and added <= {"chunks", "index", "images", "keys", "sessions"}
    assert restored(second) == [bytes(content)]
    assert restored(first) == [old]


def test_machines_share_chunks(capture, repository, memory_disk):
    disk = memory_disk.random(7, size=100000)
    capture(disk)
    assert capture(disk, machine="other").stored_new == 0
    assert [info.machine for info in list_images(repository)] == ["other", "shop"]


def test_equal_chunks_on_one_disk_are_stored_once(capture, restored, repository, memory_disk):
    content = os.urandom(CHUNK_SIZE) * 50
    disk = memory_disk("sda", content, [(0, len(content))])
    info = capture(disk, workers=4)
    assert len(list(repository.store.list("chunks/"))) == 1
    assert restored(info) == [content]


def test_a_source_holds_only_the_credential(capture, restored, repository, memory_disk):
    if not repository.info.encrypted:
        pytest.skip("only encrypted repositories have one")
    writer = open_repository(repository.store, CaptureCredential(export_capture_credential(repository)))
    disk = memory_disk.random(8)
    info = capture(disk, into=writer)
    assert list_images(writer) == [info]
    assert verify(writer).problems == ()
    for call in (lambda: restore_image(writer, info.id, {"sda": "/nonexistent/x"}, NoProgress()), lambda: verify(writer, level="full")):
        with pytest.raises(KeyAccessError, match="passphrase or key file"):
            call()
    assert restored(info) == [disk.expected()]


@pytest.mark.parametrize("error", [SourceError("gone"), OSError(5, "Input/output error"), ValueError("a defect")])
def test_a_source_error_ends_in_no_image(capture, repository, memory_disk, error):
    disk = memory_disk("sda", os.urandom(30 * CHUNK_SIZE), [(0, 30 * CHUNK_SIZE)])
    good = disk.read_at

    def read_at(offset, length):
        if offset == 20 * CHUNK_SIZE:
            raise error
        return good(offset, length)

    disk.read_at = read_at
    with pytest.raises(SourceError if isinstance(error, OSError) else type(error)):
        capture(disk, workers=4)
    assert list_images(repository) == []
    assert threading.active_count() == 1
    disk.read_at = good
    capture(disk)
    assert verify(repository, level="full").problems == ()


def test_a_disk_that_becomes_shorter(capture, memory_disk):
    disk = memory_disk("sda", bytes(10000), [(0, 10000)])
    disk.read_at = lambda offset, length: bytes(length - 1)
    with pytest.raises(SourceError, match="Disk sda gave 4095 instead of 4096 bytes at byte 0"):
        capture(disk)


def test_a_repository_error_keeps_its_type(capture, repository, memory_disk, monkeypatch):
    disk = memory_disk("sda", os.urandom(30 * CHUNK_SIZE), [(0, 30 * CHUNK_SIZE)])

    def full(name, data):
        raise RepositoryError("full")

    monkeypatch.setattr(repository.store, "put", full)
    with pytest.raises(RepositoryError, match="full"):
        capture(disk)
    monkeypatch.undo()
    assert list_images(repository) == []


def test_cancelling(repository, memory_disk, tmp_path, capture):
    class Cancelled(NoProgress):
        def cancelled(self):
            return True

    disk = memory_disk.random(3, size=100000)
    with pytest.raises(CancelledError):
        capture_module.capture_image(repository, "shop", {}, [disk.capture_disk()], "offline", {}, Cancelled())
    assert list_images(repository) == []
    info = capture(disk)
    with pytest.raises(CancelledError, match="Incomplete and not to be used: .*disk.partial"):
        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, Cancelled())
    assert not (tmp_path / "disk").exists()


def test_progress_adds_up(repository, memory_disk, tmp_path):
    class Counting(NoProgress):
        def __init__(self):
            self.phases, self.done, self.lock = [], 0, threading.Lock()

        def phase(self, name, total_bytes):
            self.phases.append((name, total_bytes))

        def advance(self, count):
            with self.lock:
                self.done += count

    disk = memory_disk.random(11, size=300000)
    counting = Counting()
    info = capture_module.capture_image(repository, "shop", {}, [disk.capture_disk()], "offline", {}, counting)
    assert counting.phases == [("capture", info.used)] and counting.done == info.used
    counting = Counting()
    restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, counting)
    assert counting.phases == [("restore", info.disks[0].data)] and counting.done == info.disks[0].data
    for level in ("structure", "full"):
        counting = Counting()
        verify(repository, level=level, progress=counting)
        assert counting.phases == [("verify", info.size)] and counting.done == info.size


def test_what_cannot_be_captured(capture, repository, memory_disk):
    disk = memory_disk("sda", b"x", [(0, 1)])
    with pytest.raises(SourceError, match="name of its own"):
        capture(disk, disk)
    with pytest.raises(SourceError, match="at least one disk"):
        capture()
    with pytest.raises(SourceError, match="is empty"):
        capture(memory_disk("sda", b"", []))
    with pytest.raises(SourceError, match="'maybe' is no consistency"):
        capture_module.capture_image(repository, "shop", {}, [disk.capture_disk()], "maybe", {}, NoProgress())
    with pytest.raises(RepositoryError, match="cannot be a machine's name"):
        capture(disk, machine="")


def test_a_damaged_parent_only_costs_speed(capture, restored, repository, memory_disk):
    disk = memory_disk.random(9, size=100000)
    first = capture(disk)
    path = os.path.join(repository.store.path, object_name(first.id))
    with open(path, "r+b") as file:
        file.seek(100)
        before = file.read(1)[0]
        file.seek(100)
        file.write(bytes([before ^ 1]))
    second = capture(disk)
    assert second.parent == "" and second.stored_new == 0 and len(second.warnings) == 1
    assert restored(second) == [disk.expected()]
    os.unlink(path)
    third = capture(disk)
    assert third.parent == second.id and third.warnings == ()


def test_a_lost_page_of_the_parent_is_stored_again(capture, restored, repository, memory_disk):
    disk = memory_disk("sda", os.urandom(20 * CHUNK_SIZE), [(0, 20 * CHUNK_SIZE)])
    capture(disk)
    for name in list(repository.store.list("index/")):
        os.unlink(os.path.join(repository.store.path, name))
    info = capture(disk)
    assert len(info.warnings) == 3
    assert restored(info) == [disk.content]


def test_a_chunk_object_cut_to_nothing_is_stored_again(capture, restored, repository, memory_disk):
    disk = memory_disk("sda", os.urandom(CHUNK_SIZE), [(0, CHUNK_SIZE)])
    capture(disk)
    (name,) = repository.store.list("chunks/")
    os.truncate(os.path.join(repository.store.path, name), 0)
    assert restored(capture(disk, machine="other")) == [disk.content]


@pytest.mark.parametrize("provider", ["library", "none"])
def test_without_the_zstd_package(capture, restored, memory_disk, monkeypatch, provider):
    codec._zstd_package(), codec._zstd_library()
    monkeypatch.setitem(codec._LOADED, "package", None)
    if provider == "none":
        monkeypatch.setitem(codec._LOADED, "library", None)
    disk = memory_disk.random(10, size=200000)
    info = capture(disk)
    assert restored(info) == [disk.expected()]


def test_chunks_in_packs_are_restored_verified_and_compared_with(capture, restored, repository, memory_disk):
    """This version writes no packs, but every reader of format 1 must read them."""
    disk = memory_disk("sda", os.urandom(3 * CHUNK_SIZE), [(0, 3 * CHUNK_SIZE)])
    manifest = read_manifest(repository, capture(disk).id)
    pages = index_module.PageStore(repository)
    page = pages.load(manifest.disks[0].pages, 3)
    chunks = [repository.store.get(page.location(entry).name) for entry in range(3)]
    pack_id = os.urandom(32)
    data = struct.pack(">BBHI", 1, 0, 1, 3) + pack_id
    for entry in range(3):
        data += struct.pack(">BBHIQI32s", 2, 1, 0, 0, sum(map(len, chunks[:entry])), len(chunks[entry]), page.chunk_id(entry))
        os.unlink(os.path.join(repository.store.path, page.location(entry).name))
    repository.store.put(f"packs/{pack_id.hex()[:2]}/{pack_id.hex()}", b"".join(chunks))
    page_id = repository.page_ids.of(data)
    pages.store(page_id, data)
    info = manifest.info._replace(id="shop/20261122T010203Z-00000001")
    packed = manifest._replace(info=info, disks=(manifest.disks[0]._replace(pages=page_id),),
                               root=merkle_root([("sda", info.size, page_id)]))
    assert repository.store.put_new(object_name(packed.info.id), seal_manifest(repository, packed))
    repository.store.flush()
    assert restored(info) == [disk.content]
    for level in ("structure", "full"):
        assert verify(repository, [info.id], level=level).problems == ()
    os.unlink(os.path.join(repository.store.path, object_name(manifest.info.id)))
    assert restored(capture(disk)) == [disk.content]
    os.truncate(os.path.join(repository.store.path, f"packs/{pack_id.hex()[:2]}/{pack_id.hex()}"), 5000)
    assert {problem.offset for problem in verify(repository, [info.id], level="full").problems} == {CHUNK_SIZE, 2 * CHUNK_SIZE}


class TestTargets:
    @pytest.fixture(name="info")
    def fixture_info(self, capture, memory_disk):
        self.disk = memory_disk("sda", b"\1" * 100 + os.urandom(30 * CHUNK_SIZE), [(0, 30 * CHUNK_SIZE + 100)])
        return capture(self.disk)

    def test_an_existing_file_is_refused_unless_allowed(self, repository, info, tmp_path):
        path = tmp_path / "disk"
        path.write_bytes(b"precious")
        with pytest.raises(TargetError, match="exists already"):
            restore_image(repository, info.id, {"sda": str(path)}, NoProgress())
        assert path.read_bytes() == b"precious"
        result = restore_image(repository, info.id, {"sda": str(path)}, NoProgress(), overwrite=True)
        assert path.read_bytes() == self.disk.content
        assert result.image == info.id and result.disks == (("sda", str(path), info.size, info.size),)

    def test_a_partial_file_of_a_failed_restore_is_replaced(self, repository, info, tmp_path):
        (tmp_path / "disk.partial").write_bytes(b"\xff" * 300000)
        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
        assert (tmp_path / "disk").read_bytes() == self.disk.content

    def test_free_stretches_are_holes(self, repository, capture, memory_disk, tmp_path):
        disk = memory_disk("sda", b"x" * (1 << 24), [(0, 4096), (1 << 23, (1 << 23) + 4096)])
        info = capture(disk)
        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
        status = os.stat(str(tmp_path / "disk"))
        assert status.st_size == 1 << 24 and status.st_blocks * 512 < 1 << 20

    def test_a_file_made_meanwhile_is_not_replaced(self, repository, info, tmp_path):
        path = tmp_path / "disk"

        class Meanwhile(NoProgress):
            def advance(self, count):
                path.write_bytes(b"new")

        with pytest.raises(TargetError, match="came into being during the restore; the restored disk is in .*disk.partial"):
            restore_image(repository, info.id, {"sda": str(path)}, Meanwhile())
        assert path.read_bytes() == b"new" and (tmp_path / "disk.partial").read_bytes() == self.disk.content

    def test_wrong_targets(self, repository, info, tmp_path):
        for targets, message in (({"sdb": str(tmp_path / "x")}, "has no disk sdb; it has: sda"), ({}, "none was asked for"),
                                 ({"sda": str(tmp_path)}, "neither a file nor a block device"),
                                 ({"sda": "/nonexistent/x"}, "cannot be made"),
                                 ({"sda": "/dev/null"}, "neither a file nor a block device")):
            with pytest.raises(TargetError, match=message):
                restore_image(repository, info.id, targets, NoProgress())
        with pytest.raises(RepositoryError, match="There is no image shop/20200101T000000Z-00000000 .*Its newest of 1 images"):
            restore_image(repository, "shop/20200101T000000Z-00000000", {"sda": str(tmp_path / "x")}, NoProgress())
        assert list(tmp_path.glob("x*")) == []

    def test_no_space_is_told_before_the_start(self, repository, info, tmp_path, monkeypatch):
        from ansible_collections.agnostic.recovery.plugins.module_utils.image import target
        monkeypatch.setattr(target.FileTarget, "free_space", lambda self: (1, info.used - 1))
        with pytest.raises(TargetError, match=f"{info.used} bytes are needed and {info.used - 1} are free.$"):
            restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
        assert list(tmp_path.glob("disk*")) == []

    def test_when_one_target_is_wrong_nothing_is_left_of_the_others(self, repository, capture, memory_disk, tmp_path):
        info = capture(memory_disk.random(1), memory_disk.random(2, name="sdb"))
        (tmp_path / "two").write_bytes(b"precious")
        with pytest.raises(TargetError, match="two of disk sdb exists already"):
            restore_image(repository, info.id, {"sda": str(tmp_path / "one"), "sdb": str(tmp_path / "two")}, NoProgress())
        assert list(tmp_path.glob("one*")) == [] and (tmp_path / "two").read_bytes() == b"precious"

    def test_a_file_system_without_locks(self, repository, info, tmp_path, monkeypatch):
        from ansible_collections.agnostic.recovery.plugins.module_utils.image import target

        def no_locks(_fd, _operation):
            raise OSError(37, "No locks available")

        monkeypatch.setattr(target.fcntl, "flock", no_locks)
        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
        assert (tmp_path / "disk").read_bytes() == self.disk.content

    def test_two_restores_to_one_path(self, repository, info, tmp_path):
        class Second(NoProgress):
            def phase(self, name, total_bytes):
                self.error = None

            def advance(self, count):
                if self.error is None:
                    with pytest.raises(TargetError, match="Another restore is writing") as caught:
                        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
                    self.error = caught

        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, Second(), workers=1)
        assert (tmp_path / "disk").read_bytes() == self.disk.content


@pytest.mark.parametrize("kind", ["chunks", "index"])
@pytest.mark.parametrize("damage", ["flip", "remove", "empty", "swap"])
def test_damage_names_machine_disk_offset_and_image_and_is_not_written(repository, capture, memory_disk, tmp_path, kind, damage):
    disk = memory_disk("sda", os.urandom(40 * CHUNK_SIZE), [(0, 40 * CHUNK_SIZE)])
    info = capture(disk)
    page_number, entry = 2, 3
    offset = (8 * page_number + entry) * CHUNK_SIZE
    if kind == "chunks":
        name = index_module.chunk_name(repository.chunk_ids.of(disk.content[offset:offset + CHUNK_SIZE]))
    else:
        name = index_module.page_name(read_manifest(repository, info.id).disks[0].pages[64:96])
        offset = 8 * page_number * CHUNK_SIZE
    path = os.path.join(repository.store.path, name)
    if damage == "flip":
        with open(path, "r+b") as file:
            file.seek(70)
            byte = file.read(1)
            file.seek(70)
            file.write(bytes((byte[0] ^ 1,)))
    elif damage == "remove":
        os.unlink(path)
    elif damage == "empty":
        os.truncate(path, 0)
    else:
        other = [other for other in repository.store.list(kind + "/") if other != name][0]
        os.replace(os.path.join(repository.store.path, other), path)
    with pytest.raises(DamagedObjectError) as caught:
        restore_image(repository, info.id, {"sda": str(tmp_path / "disk")}, NoProgress())
    message = str(caught.value)
    if damage != "swap":
        assert f"machine shop, disk sda, byte {offset}, image {info.id}" in message and name in message
    assert message.count("Data ") == 1 and "disk.partial" in message
    with open(str(tmp_path / "disk.partial"), "rb") as file:
        content = file.read()
    assert content[offset:offset + CHUNK_SIZE] == bytes(CHUNK_SIZE)
    problems = verify(repository, level="full").problems
    assert (info.id, "shop", "sda", offset, name) in {problem[:5] for problem in problems}
    if damage in ("remove", "empty") or kind == "index":
        assert name in {problem.object for problem in verify(repository).problems}
