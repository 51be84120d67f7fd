# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Format version 1 is frozen: the golden repositories are read by the engine and by the stand-alone reader, and what is damaged is told."""

import hashlib
import os
import re

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.importing import import_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids, read_manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey, Passphrase
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.image import golden_cases as golden

pytest.importorskip("cryptography")

READABLE = [(name, key) for name in sorted(golden.REPOSITORIES) for key in golden.KEYS[name]]
FOLDERS = [case for case in golden.DAMAGED if not case["repository"].endswith(".zia")]
FILES = [case for case in golden.DAMAGED if case["repository"].endswith(".zia")]


def engine_key(key):
    if not key:
        return NoKey()
    return Passphrase(golden.read(key).decode("utf-8").rstrip("\n")) if key == "passphrase" else KeyFile(golden.read(key))


def reader_key(key):
    if not key:
        return {}
    return {"passphrase": golden.read(key).decode("utf-8").rstrip("\n")} if key == "passphrase" else {"key_file": golden.read(key)}


def digest(path):
    with open(path, "rb") as file:
        data = file.read()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def restore_by_engine(repository, image, folder):
    """{disk: size and SHA-256} of the restored disks."""
    names = [disk.info.name for disk in read_manifest(repository, image).disks]
    targets = {name: os.path.join(folder, str(number)) for number, name in enumerate(names)}
    restore_image(repository, image, targets, NoProgress(), workers=1, overwrite=True)
    return {name: digest(path) for name, path in targets.items()}


def restore_by_reader(repository, image, folder):
    found = {}
    for disk in repository.manifest(image):
        with open(os.path.join(folder, "disk"), "wb") as file:
            repository.restore(disk, file)
        found[disk.name] = digest(os.path.join(folder, "disk"))
    return found


@pytest.mark.parametrize("name,key", READABLE)
def test_the_engine_reads_it(name, key, tmp_path):
    expected = golden.REPOSITORIES[name]["images"]
    with DirectoryStore(os.path.join(golden.GOLDEN, name)) as store:
        repository = open_repository(store, engine_key(key))
        assert sorted(image_ids(repository)) == sorted(expected)
        for image, disks in expected.items():
            assert restore_by_engine(repository, image, str(tmp_path)) == disks
        checked = verify(repository, level="full", workers=1)
        assert not checked.problems and len(checked.images) == len(expected)


@pytest.mark.parametrize("name,key", READABLE)
def test_the_reader_reads_it(name, key, tmp_path, zia_reader):
    expected = golden.REPOSITORIES[name]["images"]
    repository = zia_reader.Repository(zia_reader.Folder(os.path.join(golden.GOLDEN, name)), **reader_key(key))
    assert sorted(repository.images()) == sorted(expected)
    for image, disks in expected.items():
        assert restore_by_reader(repository, image, str(tmp_path)) == disks


@pytest.mark.parametrize("name,key", READABLE)
def test_the_engine_imports_the_file(name, key, tmp_path):
    with DirectoryStore(str(tmp_path / "place")) as store, open(os.path.join(golden.GOLDEN, name + ".zia"), "rb") as file:
        result = import_image(store, False, engine_key(key), file, name + ".zia", NoProgress())
    with DirectoryStore(str(tmp_path / "place")) as store:
        repository = open_repository(store, engine_key(key))
        image = golden.REPOSITORIES[name]["file"]
        assert list(image_ids(repository)) == [image] == [result.image.id]
        assert restore_by_engine(repository, image, str(tmp_path)) == golden.REPOSITORIES[name]["images"][image]


@pytest.mark.parametrize("name,key", READABLE)
def test_the_reader_reads_the_file(name, key, tmp_path, zia_reader):
    repository = zia_reader.Repository(zia_reader.File(os.path.join(golden.GOLDEN, name + ".zia")), **reader_key(key))
    image = golden.REPOSITORIES[name]["file"]
    assert repository.images() == [image]
    assert restore_by_reader(repository, image, str(tmp_path)) == golden.REPOSITORIES[name]["images"][image]


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case["name"])
def test_the_engine_tells_the_damage(case, tmp_path):
    golden.damaged_copy(case, str(tmp_path / "place"))
    with DirectoryStore(str(tmp_path / "place")) as store, pytest.raises(RecoveryError) as raised:
        restore_by_engine(open_repository(store, engine_key(case["key"])), case["image"], str(tmp_path))
    check_engine(case, raised)


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case["name"])
def test_the_reader_tells_the_damage(case, tmp_path, zia_reader):
    golden.damaged_copy(case, str(tmp_path / "place"))
    with pytest.raises(zia_reader.Unreadable) as raised:
        restore_by_reader(zia_reader.Repository(zia_reader.Folder(str(tmp_path / "place")), **reader_key(case["key"])), case["image"],
                          str(tmp_path))
    assert re.search(case["reader"], str(raised.value))


@pytest.mark.parametrize("case", FILES, ids=lambda case: case["name"])
def test_the_engine_refuses_the_file(case, tmp_path):
    golden.damaged_copy(case, str(tmp_path / "file.zia"))
    with DirectoryStore(str(tmp_path / "place")) as store, open(str(tmp_path / "file.zia"), "rb") as file:
        with pytest.raises(RecoveryError) as raised:
            import_image(store, False, engine_key(case["key"]), file, "file.zia", NoProgress(), workers=1)
    check_engine(case, raised)
    assert not (tmp_path / "place" / "images").exists()


@pytest.mark.parametrize("case", FILES, ids=lambda case: case["name"])
def test_the_reader_refuses_the_file(case, tmp_path, zia_reader):
    golden.damaged_copy(case, str(tmp_path / "file.zia"))
    with pytest.raises(zia_reader.Unreadable) as raised:
        restore_by_reader(zia_reader.Repository(zia_reader.File(str(tmp_path / "file.zia")), **reader_key(case["key"])), case["image"],
                          str(tmp_path))
    assert re.search(case["reader"], str(raised.value))


def check_engine(case, raised):
    message = str(raised.value)
    assert type(raised.value).__name__ == case["engine"]["type"], message
    assert re.search(case["engine"]["match"], message), message
