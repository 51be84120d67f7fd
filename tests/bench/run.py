# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture and restore of one disk beside restic, borg, partclone with zstd, and qemu-img, in one run, in turn.

Prints a table of medians and the ratios that the project promises; writes them as JSON. Every tool reads the same disk from
a warm page cache, and its time includes a sync of what it wrote.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

import disk as bench_disk
import engine
from measure import run, tree_bytes

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
# (what, tool measured against, figure, wanted): ours over theirs for speed is theirs.seconds / ours.seconds.
PROMISES = (
    ("capture speed", "restic", 4.0),
    ("capture speed", "partclone | zstd", 1.5),
    ("restore speed", "restic", 2.0),
)
PEAK_LIMIT = 400 << 20


def tools(work, disk):
    """{tool: {step: (command, path synced and measured)}} and the environment of all. "make" is not timed: it is done once in a lifetime."""
    ours, restic, borg = (os.path.join(work, name) for name in ("ours", "restic", "borg"))
    image, qcow, out = (os.path.join(work, name) for name in ("disk.pcl.zst", "disk.qcow2", "out.raw"))
    key = os.path.join(work, "key")
    call = f"{PYTHON} {HERE}/engine.py"
    env = {"RESTIC_PASSWORD": "bench", "BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": os.path.join(work, "borg-home"),
           "RESTIC_CACHE_DIR": os.path.join(work, "restic-cache"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    loop = f"loop=$(losetup --find --show --read-only {disk}); trap 'losetup -d $loop' EXIT; "
    return env, {
        "agnostic.recovery": {
            "make": (f"{call} init {ours} --key-file {key}", ours),
            "capture": (f"{call} capture {ours} {disk} --key-file {key}", ours),
            "restore": (f"{call} restore {ours} {out} --key-file {key}", out)},
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


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


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
    env, all_tools = tools(work, disk)
    figures = []
    for number in range(rounds):
        for tool, steps in all_tools.items():
            if wanted and tool not in wanted:
                continue
            with open(disk, "rb") as file:
                while file.read(8 << 20):
                    pass
            for step, (command, path) in steps.items():
                figure = run(tool, step, command, work, lambda path=path: tree_bytes(path), env)
                if step == "make":
                    continue
                figures.append(figure)
                print(f"round {number + 1}: {tool:22} {step:8} {figure.seconds:7.1f} s", file=sys.stderr, flush=True)
            out = steps["restore"][1]
            if number == 0 and tool == "agnostic.recovery":
                same_files(disk, out, work)
            for step in steps.values():
                remove(step[1])
            remove(env["RESTIC_CACHE_DIR"])
    return figures


def summarise(figures):
    """{tool: {step: {seconds, cpu, peak, stored}}}: medians over the rounds, the largest peak."""
    table = {}
    for figure in figures:
        table.setdefault(figure.tool, {}).setdefault(figure.step, []).append(figure)
    return {tool: {step: {"seconds": round(statistics.median(f.seconds for f in all_), 1),
                          "cpu": round(statistics.median(f.cpu for f in all_), 1),
                          "peak": max(f.peak for f in all_), "stored": all_[-1].stored}
                   for step, all_ in steps.items()} for tool, steps in table.items()}


def ratios(table):
    """(sentence, met) for each promise whose tools were measured."""
    ours = table["agnostic.recovery"]
    lines = []
    for what, tool, wanted in PROMISES:
        step = what.split()[0]
        if tool in table:
            ratio = table[tool][step]["seconds"] / ours[step]["seconds"]
            lines.append((f"{what}: {ratio:.2f} x {tool} (wanted at least {wanted:g})", ratio >= wanted))
    if "partclone | zstd" in table:
        ratio = ours["capture"]["stored"] / table["partclone | zstd"]["capture"]["stored"]
        lines.append((f"stored bytes: {ratio:.3f} of partclone | zstd -1 (wanted at most 1)", ratio <= 1))
    peak = max(step["peak"] for step in ours.values())
    lines.append((f"peak memory: {peak / (1 << 20):.0f} MiB (wanted under {PEAK_LIMIT >> 20})", peak < PEAK_LIMIT))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, help="folder with room for 30 GB; the disk is kept there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tool", action="append", help="only this tool (may be repeated)")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    disk = os.path.join(options.work, "disk.raw")
    bench_disk.build(disk)
    work = os.path.join(options.work, "run")
    remove(work)
    os.makedirs(work)
    with open(os.path.join(work, "key"), "wb") as file:
        file.write(os.urandom(32))
    try:
        table = summarise(measure(work, disk, options.rounds, options.tool))
    finally:
        remove(work)
    print(f"{'tool':22} {'step':8} {'seconds':>8} {'cpu s':>7} {'peak MiB':>9} {'stored MiB':>11}")
    for tool, steps in table.items():
        for step, values in steps.items():
            stored = f"{values['stored'] / (1 << 20):.0f}" if step == "capture" else ""
            print(f"{tool:22} {step:8} {values['seconds']:8.1f} {values['cpu']:7.1f} {values['peak'] / (1 << 20):9.0f} {stored:>11}")
    lines = ratios(table) if "agnostic.recovery" in table else []
    for sentence, met in lines:
        print(("met     " if met else "MISSED  ") + sentence)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"figures": table, "promises": [{"text": text, "met": met} for text, met in lines]}, file, indent=2)
    sys.exit(0 if all(met for _text, met in lines) else 1)


if __name__ == "__main__":
    engine.library("errors")  # fails early where the library cannot be imported
    main()
