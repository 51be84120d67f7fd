# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine captures, the stand-alone reader restores: from the repository and from a ZIA file."""

import os
import tempfile
from unittest import mock

import pytest

hypothesis = pytest.importorskip("hypothesis")
pytest.importorskip("cryptography")
pytest.importorskip("zstandard")

from hypothesis import HealthCheck, given, settings, strategies as st  # noqa: E402

from ansible_collections.agnostic.recovery.plugins.module_utils.image import capture, codec, passes  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.exporting import export_image  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (  # noqa: E402
    init_repository, open_repository)

KEY = b"\7" * 64
PIECES = st.one_of(st.builds(bytes, st.integers(1, 20000)), st.binary(min_size=1, max_size=300),
                   st.builds(lambda text, count: text * count, st.binary(min_size=1, max_size=9), st.integers(1, 3000)))
CONTENT = st.lists(PIECES, min_size=1, max_size=8).map(b"".join)
USED = st.lists(st.tuples(st.integers(0, 40000), st.integers(0, 40000)), max_size=6)
DISKS = st.lists(st.tuples(CONTENT, USED), min_size=1, max_size=3)


def clip(pairs, size):
    return [(min(pair), min(max(pair), size)) for pair in pairs if min(pair) < size]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(disks=DISKS, encrypted=st.booleans(), compressor=st.sampled_from([codec.new_compressor, lambda size: codec.Zlib()]),
       machine=st.sampled_from(["shop", "über/~.%", ".x", "m" * 80]))
def test_the_reader_restores_what_was_captured(memory_disk, zia_reader, disks, encrypted, compressor, machine):
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "repository")
        captured = [memory_disk("disk/%d" % number, content, clip(used, len(content))) for number, (content, used) in enumerate(disks)]
        with DirectoryStore(place) as store, mock.patch.object(passes, "new_compressor", compressor):
            key = KeyFile(KEY) if encrypted else NoKey()
            init_repository(store, key, chunk_size=4096, encrypted=encrypted)
            repository = open_repository(store, key)
            image = capture.capture_image(repository, machine, {"name": machine}, [disk.capture_disk() for disk in captured], "offline", {},
                                          NoProgress(), workers=2, recoverability={"targets": [{"target": "kvm", "verdict": "no"}]})
            export_image(repository, image.id, place + ".zia", NoProgress())
        for read in (zia_reader.Folder(place), zia_reader.File(place + ".zia")):
            reading = zia_reader.Repository(read, key_file=KEY if encrypted else None)
            assert reading.images() == [image.id]
            for disk, expected in zip(reading.manifest(image.id), captured):
                with open(os.path.join(folder, "disk"), "w+b") as file:
                    reading.restore(disk, file)
                    file.seek(0)
                    assert (disk.name, file.read()) == (expected.name, expected.expected())
