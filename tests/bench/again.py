# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same disk captured again: unchanged, with files rewritten, with blocks rewritten all over it; beside restic and borg.

Every tool keeps its repository through all the steps. Stored bytes are what a step added.
"""

import os
import random
import subprocess
import sys
import tempfile

from figures import Promise, median
from measure import OURS, engine_call, peer_environment, read_through, run, tree_bytes

CHUNK_SIZES = (1, 2, 4, 8)      # MiB
SHARE = 0.01
BLOCK = 4096
UNCHANGED_WANTED = 4.0          # times restic's speed


def ours(chunk):
    return f"{OURS}, {chunk} MiB"


def measure(work, disk, default_chunk):
    """The figures of all tools through the steps "first", "unchanged", "in files", "scattered"; the disk itself stays as it was."""
    env = peer_environment(work)
    copy = os.path.join(work, "changing.raw")
    subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    captures = _make_repositories(work, copy, env)
    figures = []
    for step, change in (("first", None), ("unchanged", None), ("in files", _rewrite_files), ("scattered", _rewrite_blocks)):
        if change:
            _on_mounted(copy, change)
        read_through(copy)
        for tool, (command, path) in captures.items():
            before = tree_bytes(path)
            figure = run(tool, step, command.format(step=step.replace(" ", "-")), work, lambda: tree_bytes(path) - before, env)
            figures.append(figure)
            print(f"{tool:28} {step:10} {figure.seconds:7.1f} s", file=sys.stderr, flush=True)
    return figures, _promises(figures, default_chunk)


def _make_repositories(work, disk, env):
    """{tool: (command of a capture, path of its repository)}; "{step}" stands for the step's name in a command."""
    captures = {}
    for chunk in CHUNK_SIZES:
        path = os.path.join(work, f"ours-{chunk}")
        run(ours(chunk), "make", engine_call(work, "init", path, "--chunk-size", str(chunk << 20)), work)
        captures[ours(chunk)] = (engine_call(work, "capture", path, disk), path)
    restic, borg = (os.path.join(work, name) for name in ("restic", "borg"))
    run("restic", "make", f"restic -q init -r {restic}", work, env=env)
    run("borg", "make", f"borg init -e repokey {borg}", work, env=env)
    captures["restic"] = (f"restic -q backup -r {restic} --stdin < {disk}", restic)
    captures["borg"] = (f"borg create --compression zstd,1 {borg}::{{step}} - < {disk}", borg)
    return captures


def _on_mounted(disk, change):
    mount = tempfile.mkdtemp(prefix="agnostic-recovery-bench-")
    subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
    try:
        change(sorted(os.path.join(base, name) for base, _dirs, names in os.walk(mount) for name in names), random.Random(1))
    finally:
        subprocess.run(["umount", mount], check=True)
        os.rmdir(mount)


def _rewrite_files(paths, rng):
    """Rewrite files drawn by chance, as a whole and in place, until they make up the share of all bytes."""
    left = SHARE * sum(os.path.getsize(path) for path in paths)
    while left > 0:
        path = rng.choice(paths)
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.write(rng.getrandbits(8 * size).to_bytes(size, "little") if size else b"")
        left -= size


def _rewrite_blocks(paths, rng):
    """Rewrite the share of all 4 KiB blocks, each drawn by chance: the worst that can happen to any chunked store."""
    for path in paths:
        with open(path, "r+b") as file:
            for offset in range(0, os.path.getsize(path) // BLOCK * BLOCK, BLOCK):
                if rng.random() < SHARE:
                    file.seek(offset)
                    file.write(os.urandom(BLOCK))


def _promises(figures, default_chunk):
    ratio = median(figures, "restic", "unchanged") / median(figures, ours(default_chunk), "unchanged")
    return [Promise(f"unchanged disk again: {ratio:.2f} x restic (wanted at least {UNCHANGED_WANTED:g})", ratio >= UNCHANGED_WANTED)]
