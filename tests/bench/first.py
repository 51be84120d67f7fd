# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One disk, captured and restored once: beside restic, borg, partclone with zstd, and qemu-img."""

import os
import subprocess
import sys

import disk as bench_disk
from figures import Promise, largest, median
from measure import OURS, engine_call, peer_environment, read_through, remove, run, tree_bytes

# (what, tool measured against, wanted): ours over theirs for speed is theirs.seconds / ours.seconds.
SPEEDS = (
    ("capture", "restic", 4.0),
    ("capture", "partclone | zstd", 1.5),
    ("restore", "restic", 2.0),
)
PEAK_LIMIT = 400 << 20


def tools(work, disk):
    """{tool: {step: (command, path synced and measured)}}. "make" is not timed: it is done once in a lifetime."""
    ours, restic, borg = (os.path.join(work, name) for name in ("ours", "restic", "borg"))
    image, qcow, out = (os.path.join(work, name) for name in ("disk.pcl.zst", "disk.qcow2", "out.raw"))
    loop = f"loop=$(losetup --find --show --read-only {disk}); trap 'losetup -d $loop' EXIT; "
    return {
        OURS: {
            "make": (engine_call(work, "init", ours), ours),
            "capture": (engine_call(work, "capture", ours, disk), ours),
            "restore": (engine_call(work, "restore", ours, out), out)},
        "restic": {
            "make": (f"restic -q init -r {restic}", restic),
            "capture": (f"restic -q backup -r {restic} --stdin < {disk}", restic),
            "restore": (f"restic -q dump -r {restic} latest stdin > {out}", out)},
        "borg": {
            "make": (f"borg init -e repokey {borg}", borg),
            "capture": (f"borg create --compression zstd,1 {borg}::a - < {disk}", borg),
            "restore": (f"borg extract --sparse --stdout {borg}::a > {out}", out)},
        "partclone | zstd": {
            "capture": (f"{loop}partclone.extfs -q -c -L /dev/null -s $loop -o - | zstd -q -1 -T2 -o {image}", image),
            "restore": (f"truncate -s {bench_disk.SIZE} {out}; loop=$(losetup --find --show {out}); trap 'losetup -d $loop' EXIT; "
                        f"zstd -q -dc {image} | partclone.extfs -q -r -L /dev/null -s - -o $loop", out)},
        "qemu-img convert -c": {
            "capture": (f"qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd {disk} {qcow}", qcow),
            "restore": (f"qemu-img convert -f qcow2 -O raw {qcow} {out}", out)},
    }


def same_files(left, right, work):
    """Both disks hold the same files, and the restored file system is whole."""
    subprocess.run(["e2fsck", "-fn", right], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mounts = [os.path.join(work, name) for name in ("left", "right")]
    try:
        for path, mount in zip((left, right), mounts):
            os.makedirs(mount, exist_ok=True)
            subprocess.run(["mount", "-o", "loop,ro", path, mount], check=True)
        subprocess.run(["diff", "-rq", "--no-dereference", *mounts], check=True)
    finally:
        for mount in mounts:
            subprocess.run(["umount", mount], check=False, stderr=subprocess.DEVNULL)


def measure(work, disk, rounds, wanted):
    """The figures of all tools, or of those in `wanted`, over so many rounds."""
    env = peer_environment(work)
    figures = []
    for number in range(rounds):
        for tool, steps in tools(work, disk).items():
            if wanted and tool not in wanted:
                continue
            read_through(disk)
            for step, (command, path) in steps.items():
                figure = run(tool, step, command, work, lambda path=path: tree_bytes(path), env)
                if step == "make":
                    continue
                figures.append(figure)
                print(f"round {number + 1}: {tool:22} {step:8} {figure.seconds:7.1f} s", file=sys.stderr, flush=True)
            out = steps["restore"][1]
            if number == 0 and tool == OURS:
                same_files(disk, out, work)
            for step in steps.values():
                remove(step[1])
            remove(env["RESTIC_CACHE_DIR"])
    return figures


def promises(figures):
    """What the project promises of a first capture and its restore, as far as the tools for it were measured."""
    kept = []
    for step, tool, wanted in SPEEDS:
        theirs, ours = median(figures, tool, step), median(figures, OURS, step)
        if theirs and ours:
            ratio = theirs / ours
            kept.append(Promise(f"{step} speed: {ratio:.2f} x {tool} (wanted at least {wanted:g})", ratio >= wanted))
    theirs, ours = (largest(figures, tool, "capture", "stored") for tool in ("partclone | zstd", OURS))
    if theirs and ours:
        kept.append(Promise(f"stored bytes: {ours / theirs:.3f} of partclone | zstd -1 (wanted at most 1)", ours <= theirs))
    peak = max(largest(figures, OURS, step, "peak") for step in ("capture", "restore"))
    if peak:
        kept.append(Promise(f"peak memory: {peak / (1 << 20):.0f} MiB (wanted under {PEAK_LIMIT >> 20})", peak < PEAK_LIMIT))
    return kept
