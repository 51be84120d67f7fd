# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 at random moments of a capture: the repository verifies, older images restore, the next capture succeeds."""

import random
import signal
import time

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import list_images
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify

KILLS = 50
DISK_SIZE = 6 << 20


def change(path, rng):
    """Rewrite a few hundred stretches of the disk; returns its new content."""
    content = bytearray(path.read_bytes())
    for _unused in range(300):
        start = rng.randrange(0, len(content) - 4096)
        content[start:start + 4096] = rng.getrandbits(8 * 4096).to_bytes(4096, "little")
    path.write_bytes(bytes(content))
    return bytes(content)


def check_restore(repository, image_id, content, tmp_path):
    target = tmp_path / "restored"
    restore_image(repository, image_id, {"sda": str(target)}, NoProgress())
    assert target.read_bytes() == content
    target.unlink()


def test_kills(place, make_disk, tmp_path):
    rng = random.Random(20261122)
    disk = make_disk("disk", DISK_SIZE)
    contents = {place.capture("shop", disk): disk.read_bytes()}
    started = time.monotonic()
    content = change(disk, rng)
    contents[place.capture("shop", disk)] = content
    longest = time.monotonic() - started
    interrupted = 0
    content = change(disk, rng)
    for number in range(KILLS):
        process = place.start_capture("shop", disk)
        assert process.stdout.readline() == "started\n"
        # Between the first moment and a little after the usual end; a capture that ends before adds an image.
        time.sleep(rng.uniform(0, longest * 0.7))
        process.send_signal(signal.SIGKILL)
        output, _errors = process.communicate()
        if process.returncode == -signal.SIGKILL and not output:
            interrupted += 1
        repository = place.open()
        found = {info.id for info in list_images(repository, "shop")}
        for image_id in found - set(contents):
            contents[image_id] = content
        assert set(contents) <= found
        assert verify(repository, level="full" if number % 10 == 9 else "structure").problems == ()
        if number % 10 == 9:
            image_id = sorted(contents)[number // 10 % len(contents)]
            check_restore(repository, image_id, contents[image_id], tmp_path)
        if len(found) > 2 + interrupted or number % 3 == 2:
            content = change(disk, rng)
        repository.store.close()
    assert interrupted >= KILLS // 3, f"only {interrupted} of {KILLS} kills hit a running capture"
    last = place.capture("shop", disk)
    assert place.leftovers() == []
    repository = place.open()
    contents[last] = content
    assert verify(repository, level="full").problems == ()
    for image_id, expected in contents.items():
        check_restore(repository, image_id, expected, tmp_path)
    repository.store.close()
