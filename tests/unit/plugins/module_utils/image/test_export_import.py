# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZIA files: out of one repository, into another place."""

import io
import os
import tarfile

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import (
    DamagedObjectError, KeyAccessError, RepositoryError, SourceError, TargetError)
from ansible_collections.agnostic.recovery.plugins.module_utils.image.container import ContainerWriter, read_container
from ansible_collections.agnostic.recovery.plugins.module_utils.image.exporting import export_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.importing import import_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import CancelledError, NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.replicate import replicate
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository)

KEY_FILE = KeyFile(b"\7" * 64)       # that of the fixture `repository`


def key_of(repository):
    return KEY_FILE if repository.info.encrypted else NoKey()


@pytest.fixture(name="image")
def fixture_image(capture, memory_disk):
    """An image of two disks that share content; the machine's name needs an extended header."""
    disks = [memory_disk.random(1, "sda", 50 * 4096 + 77), memory_disk.random(2, "sdb", 4096)]
    disks.append(memory_disk("sdc", disks[0].content, disks[0].ranges))
    return capture(*disks, machine="ü" * 30), disks


@pytest.fixture(name="zia")
def fixture_zia(repository, image, tmp_path):
    path = str(tmp_path / "image.zia")
    export_image(repository, image[0].id, path, NoProgress())
    return path


def bring_in(path, place, key, is_repository=False, **options):
    with DirectoryStore(str(place)) as store, open(path, "rb") as file:
        return import_image(store, is_repository, key, file, path, NoProgress(), **options)


def restored(place, key, image, tmp_path):
    with DirectoryStore(str(place)) as store:
        repository = open_repository(store, key)
        targets = {disk.name: str(tmp_path / ("restored-" + disk.name)) for disk in image.disks}
        restore_image(repository, image.id, targets, NoProgress(), overwrite=True)
    return {name: open(path, "rb").read() for name, path in targets.items()}


def objects_of(place):
    found = {}
    for folder, _folders, files in os.walk(str(place)):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, str(place))] = file.read()
    return {name: data for name, data in found.items() if not name.startswith(("tmp/", "sessions/"))}


def test_into_an_empty_place(repository, image, zia, tmp_path):
    result = bring_in(zia, tmp_path / "other", key_of(repository))
    assert (result.changed, result.made, result.image.id) == (True, True, image[0].id)
    assert objects_of(tmp_path / "other") == objects_of(tmp_path / "repository")
    assert restored(tmp_path / "other", key_of(repository), image[0], tmp_path) == {disk.name: disk.expected() for disk in image[1]}


def test_the_same_again_changes_nothing(repository, zia, tmp_path):
    bring_in(zia, tmp_path / "other", key_of(repository))
    before = objects_of(tmp_path / "other")
    result = bring_in(zia, tmp_path / "other", key_of(repository), is_repository=True)
    assert (result.changed, result.made, result.stored) == (False, False, 0)
    assert objects_of(tmp_path / "other") == before


def test_only_what_is_missing_is_stored(repository, capture, memory_disk, tmp_path):
    disk = memory_disk.random(3, "sda", 40 * 4096)
    first = capture(disk)
    changed = bytearray(disk.content)
    changed[5 * 4096:5 * 4096 + 3] = b"new"
    second = capture(memory_disk("sda", bytes(changed), list(disk.ranges) + [(5 * 4096, 6 * 4096)]))
    for number, image in enumerate((first, second)):
        export_image(repository, image.id, str(tmp_path / ("%d.zia" % number)), NoProgress())
    bring_in(str(tmp_path / "0.zia"), tmp_path / "other", key_of(repository))
    result = bring_in(str(tmp_path / "1.zia"), tmp_path / "other", key_of(repository), is_repository=True)
    assert result.stored_objects == 2 + repository.info.encrypted        # a chunk, a page, and the data key of the second capture
    assert objects_of(tmp_path / "other") == objects_of(tmp_path / "repository")


def test_check_writes_nothing(repository, image, zia, tmp_path):
    result = bring_in(zia, tmp_path / "other", key_of(repository), check=True)
    assert (result.changed, result.made, result.image.id) == (True, True, image[0].id)
    assert not (tmp_path / "other").exists()


def test_another_repository_is_refused(repository, zia, tmp_path):
    with DirectoryStore(str(tmp_path / "other")) as store:
        other = init_repository(store, key_of(repository), 4096, encrypted=repository.info.encrypted)
    with pytest.raises(RepositoryError, match="is of repository %s, and the repository at .* is %s" % (repository.info.id, other.id)):
        bring_in(zia, tmp_path / "other", key_of(repository), is_repository=True)


def test_the_wrong_key(repository, zia, tmp_path):
    with pytest.raises(KeyAccessError):
        bring_in(zia, tmp_path / "other", KeyFile(b"8" * 64))
    assert not (tmp_path / "other").exists()


def test_who_may_only_write_neither_exports_nor_imports(repository, image, zia, tmp_path):
    if not repository.info.encrypted:
        pytest.skip("an unencrypted repository has no capture credential")
    key = CaptureCredential(export_capture_credential(repository))
    with pytest.raises(KeyAccessError, match="needs a passphrase or key file"):
        export_image(open_repository(repository.store, key), image[0].id, str(tmp_path / "x.zia"), NoProgress())
    with pytest.raises(KeyAccessError, match="needs a passphrase or key file"):
        bring_in(zia, tmp_path / "other", key)


def test_the_same_image_gives_the_same_file(repository, image, zia, tmp_path):
    export_image(repository, image[0].id, str(tmp_path / "again.zia"), NoProgress(), workers=1)
    with open(zia, "rb") as first, open(str(tmp_path / "again.zia"), "rb") as second:
        assert first.read() == second.read()


def test_tar_unpacks_it_to_a_repository(repository, image, zia, tmp_path):
    with tarfile.open(zia) as archive:
        archive.extractall(str(tmp_path / "unpacked"))
        names = archive.getnames()
    assert names[0] == "repository.json" and names[-1] == "end.json" and len(names) == len(set(names))
    assert restored(tmp_path / "unpacked", key_of(repository), image[0], tmp_path) == {disk.name: disk.expected() for disk in image[1]}


def test_a_file_cut_short_anywhere_is_told(zia):
    with open(zia, "rb") as file:
        whole = file.read()
    assert list(read_container(io.BytesIO(whole), "x.zia"))
    for length in list(range(0, len(whole), 509)) + [len(whole) - 1]:
        with pytest.raises(DamagedObjectError, match="x.zia is damaged: it is cut short"):
            list(read_container(io.BytesIO(whole[:length]), "x.zia"))


def test_a_file_altered_anywhere_is_told(zia):
    with open(zia, "rb") as file:
        whole = file.read()
    for at in list(range(0, len(whole), 499)) + [len(whole) - 1]:
        altered = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1:]
        with pytest.raises(DamagedObjectError, match="x.zia is damaged: "):
            list(read_container(io.BytesIO(altered), "x.zia"))
    with pytest.raises(DamagedObjectError, match="does not end as it must"):
        list(read_container(io.BytesIO(whole + b"\0"), "x.zia"))


def rewrite(path, change):
    """The file with every object as `change(name, data)` gives it; None leaves it out. The end mark is right again."""
    out = io.BytesIO()
    writer = ContainerWriter(out)
    with open(path, "rb") as file:
        for name, data in read_container(file, path):
            changed = change(name, data)
            if changed is not None:
                writer.add(name, changed)
    writer.finish()
    return out


@pytest.mark.parametrize("kind", ["chunks/", "index/", "keys/data/", "images/"])
def test_an_object_that_proves_nothing_is_not_taken_in(repository, zia, tmp_path, kind):
    if kind.startswith("keys") and not repository.info.encrypted:
        pytest.skip("an unencrypted repository has no data keys")
    spoiled = []

    def spoil(name, data):
        if name.startswith(kind) and not spoiled:
            spoiled.append(name)
            return data[:-1] + bytes((data[-1] ^ 1,))
        return data

    out = rewrite(zia, spoil)
    with DirectoryStore(str(tmp_path / "other")) as store:
        with pytest.raises(DamagedObjectError, match="damaged"):
            out.seek(0)
            import_image(store, False, key_of(repository), out, "x.zia", NoProgress())
    found = objects_of(tmp_path / "other") if (tmp_path / "other").exists() else {}
    assert spoiled[0] not in found and not any(name.startswith("images/") for name in found)


@pytest.mark.parametrize("kind", ["chunks/", "index/", "keys/data/"])
def test_a_file_that_lacks_an_object_makes_no_image(repository, zia, tmp_path, kind):
    if kind.startswith("keys") and not repository.info.encrypted:
        pytest.skip("an unencrypted repository has no data keys")
    left_out = []

    def leave_out(name, data):
        if name.startswith(kind) and not left_out:
            left_out.append(name)
            return None
        return data

    out = rewrite(zia, leave_out)
    with DirectoryStore(str(tmp_path / "other")) as store:
        with pytest.raises(DamagedObjectError, match=left_out[0]):
            out.seek(0)
            import_image(store, False, key_of(repository), out, "x.zia", NoProgress())
        assert not list(store.list("images/"))
    # What is there already is not stored again, and what was lacking is taken in from a whole file.
    result = bring_in(zia, tmp_path / "other", key_of(repository), is_repository=True)
    assert result.changed and objects_of(tmp_path / "other") == objects_of(tmp_path / "repository")


@pytest.mark.parametrize("order", [["images/"], ["repository.json"], ["keys/slots/", "repository.json"], ["packs/"], ["chunks/"], []])
def test_a_file_that_begins_with_something_else_is_refused(repository, tmp_path, order):
    out = io.BytesIO()
    writer = ContainerWriter(out)
    for name in order:
        writer.add(name if not name.endswith("/") else name + "x", b"{}")
    writer.finish()
    with DirectoryStore(str(tmp_path / "other")) as store, pytest.raises(DamagedObjectError, match="x.zia is damaged"):
        out.seek(0)
        import_image(store, False, key_of(repository), out, "x.zia", NoProgress())
    assert not (tmp_path / "other").exists()


def test_export_checks_what_it_writes(repository, image, tmp_path):
    name = next(repository.store.list("chunks/"))
    path = tmp_path / "repository" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    with pytest.raises(DamagedObjectError, match=name):
        export_image(repository, image[0].id, str(tmp_path / "x.zia"), NoProgress())
    assert sorted(os.listdir(str(tmp_path))) == ["repository"]


def test_an_existing_file_is_kept(repository, image, zia):
    with open(zia, "rb") as file:
        before = file.read()
    with pytest.raises(TargetError, match="exists already"):
        export_image(repository, image[0].id, zia, NoProgress())
    with open(zia, "rb") as file:
        assert file.read() == before
    assert not os.path.exists(zia + ".partial")
    export_image(repository, image[0].id, zia, NoProgress(), overwrite=True)


def test_a_place_that_cannot_be_written(repository, image, tmp_path):
    with pytest.raises(TargetError, match="cannot be made"):
        export_image(repository, image[0].id, str(tmp_path / "none" / "x.zia"), NoProgress())


def test_a_file_that_cannot_be_read(repository, tmp_path):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with DirectoryStore(str(tmp_path / "other")) as store, pytest.raises(SourceError, match="Input/output error"):
        import_image(store, False, key_of(repository), Failing(), "x.zia", NoProgress())


def test_cancelled(repository, image, zia, tmp_path):
    class Cancelled(NoProgress):
        def cancelled(self):
            return True

    with pytest.raises(CancelledError):
        export_image(repository, image[0].id, str(tmp_path / "x.zia"), Cancelled())
    assert not os.path.exists(str(tmp_path / "x.zia")) and not os.path.exists(str(tmp_path / "x.zia.partial"))
    with DirectoryStore(str(tmp_path / "other")) as store, open(zia, "rb") as file, pytest.raises(CancelledError):
        import_image(store, False, key_of(repository), file, zia, Cancelled())


def test_an_image_without_data(repository, capture, memory_disk, tmp_path):
    image = capture(memory_disk("sda", bytes(1), []))
    path = str(tmp_path / "x.zia")
    export_image(repository, image.id, path, NoProgress())
    bring_in(path, tmp_path / "other", key_of(repository))
    with DirectoryStore(str(tmp_path / "other")) as store:
        assert list(image_ids(open_repository(store, key_of(repository)))) == [image.id]


def test_what_was_pruned_is_not_imported_under_its_old_names_but_replicated(repository, image, zia, tmp_path):
    for folder, _folders, names in os.walk(repository.store.path):
        for name in names:
            os.utime(os.path.join(folder, name), (0, 0))
    prune(repository, [image[0].id], NoProgress())
    with pytest.raises(RepositoryError, match="into an empty place"):
        bring_in(zia, tmp_path / "repository", key_of(repository), is_repository=True)
    bring_in(zia, tmp_path / "other", key_of(repository))
    with DirectoryStore(str(tmp_path / "other")) as other:
        replicate(open_repository(other, key_of(repository)), repository.store, key_of(repository), NoProgress())
    assert restored(tmp_path / "repository", key_of(repository), image[0], tmp_path) == {disk.name: disk.expected() for disk in image[1]}
