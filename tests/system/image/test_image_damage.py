# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every object of a small repository altered, cut short and removed: one clear error each, and nothing wrong on the disk."""

import os
import random
import shutil

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import object_name
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository

DISK_SIZE = 25 * 4096 + 512


@pytest.fixture(name="image")
def fixture_image(place, make_disk):
    """(place, image id, content): one machine with one image, whose every object is needed."""
    disk = make_disk("disk", DISK_SIZE)
    return place, place.capture("shop", disk), disk.read_bytes()


def positions(content):
    """Where to alter an object: every byte of header, tag and small objects, some of large payloads."""
    if len(content) <= 1000:
        return range(len(content))
    rng = random.Random(len(content))
    return sorted(set(range(70)) | set(range(len(content) - 20, len(content))) | {rng.randrange(len(content)) for _unused in range(10)})


def attempt(place, image_id, target):
    """The error of a restore with everything that leads to it, or None."""
    try:
        with DirectoryStore(place.path) as store:
            restore_image(open_repository(store, place.key), image_id, {"sda": target}, NoProgress(), overwrite=True, workers=2)
        return None
    except RepositoryError as error:
        return str(error)


def needed(place):
    """The objects that a restore reads; of sessions only those that write and prune know."""
    return [name for name in place.objects() if not name.startswith("sessions/")]


def check_keyring(place, name):
    """A damaged keyring keeps nobody from restoring, but it is told, and nothing is sealed under what may not be the newest key."""
    with DirectoryStore(place.path) as store:
        assert name in open_repository(store, place.key).problem


def check_written(target, content):
    """What a failed restore has left is right or zero in every chunk."""
    partial = target + ".partial"
    if os.path.exists(partial):
        with open(partial, "rb") as file:
            found = file.read()
        for start in range(0, len(found), 4096):
            assert found[start:start + 4096] in (content[start:start + 4096], bytes(len(found[start:start + 4096])))


def test_every_object_altered(image, tmp_path):
    place, image_id, content = image
    target = str(tmp_path / "target")
    kinds = {}
    for name in needed(place):
        path = os.path.join(place.path, name)
        with open(path, "rb") as file:
            good = file.read()
        kind = name.rpartition("/")[0].split("/")[0] or name
        kinds[kind] = kinds.get(kind, 0) + 1
        # All positions for the first objects of a kind, a few for the rest: the unit tests have the envelope's every bit.
        where = list(positions(good)) if kinds[kind] == 1 else [6, len(good) // 2, len(good) - 1]
        for position in where:
            with open(path, "wb") as file:
                file.write(good[:position] + bytes((good[position] ^ 0x10,)) + good[position + 1:])
            message = attempt(place, image_id, target)
            if message is None and name.startswith("keys/rings/"):
                check_keyring(place, name)
            elif message is None:
                assert kind == "keys" and good[position:position + 1].isspace()      # white space of a key slot's JSON
            else:
                check_message(message, name, image_id)
                check_written(target, content)
        with open(path, "wb") as file:
            file.write(good)
    assert set(kinds) == {"chunks", "images", "index", "keys", "repository.json"}
    assert attempt(place, image_id, target) is None


def check_message(message, name, image_id):
    if name.startswith(("chunks/", "index/")):
        assert "machine shop, disk sda, byte " in message and f"image {image_id}" in message and name in message
    elif name.startswith("images/"):
        assert f"The manifest of image {image_id}" in message
    elif name.startswith("keys/data/"):
        assert "machine shop, disk sda, byte " in message and name in message
    else:
        assert "repository.json" in message or "key slot" in message


def test_every_object_removed_emptied_and_cut(image, tmp_path):
    place, image_id, content = image
    target = str(tmp_path / "target")
    for name in needed(place):
        path = os.path.join(place.path, name)
        shutil.copyfile(path, str(tmp_path / "good"))
        size = os.stat(path).st_size
        for length in (None, 0, 1, size // 2, size - 1):
            if length is None:
                os.unlink(path)
            else:
                shutil.copyfile(str(tmp_path / "good"), path)
                os.truncate(path, length)
            message = attempt(place, image_id, target)
            if message is None and name.startswith("keys/rings/"):
                if length is not None:
                    check_keyring(place, name)
                continue
            if message is None:
                assert name.startswith("keys/slots/") and length == size - 1       # the line end of a key slot
                continue
            check_written(target, content)
            if name == "repository.json" and length is None:
                assert "There is no repository at" in message
            elif name == object_name(image_id) and length is None:
                assert f"There is no image {image_id}" in message and "It holds no images yet" in message
            elif name.startswith("keys/slots/") and length is None:
                assert "no key slot for a key file" in message
            else:
                check_message(message, name, image_id)
            if name.startswith(("chunks/", "index/", "keys/data/")):
                with DirectoryStore(place.path) as store:
                    problems = verify(open_repository(store, place.key)).problems
                assert problems and all(problem.machine == "shop" and problem.disk == "sda" and problem.offset >= 0 for problem in problems)
        shutil.copyfile(str(tmp_path / "good"), path)
    assert attempt(place, image_id, target) is None


def test_a_wrong_key_touches_nothing(image, tmp_path):
    place, image_id, _content = image
    place.key = KeyFile(b"\x08" * 64)
    assert "The key file is wrong" in attempt(place, image_id, str(tmp_path / "target"))
    assert not list(tmp_path.glob("target*"))
