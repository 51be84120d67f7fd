# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same disk to and from an S3 server (Ceph radosgw): beside restic, and from far away. Every tool gets a server of its own, fresh."""

import contextlib
import json
import os
import subprocess
import sys

from figures import Promise, median
from measure import OURS, engine_call, peer_environment, read_through, remove, run

ROUND_TRIP = 0.05           # seconds added
KEPT_WANTED = 0.7           # of the throughput without them
_HERE = os.path.dirname(os.path.abspath(__file__))
_RADOSGW = os.path.join(_HERE, "..", "tools", "radosgw-up")
NEAR, FAR = f"{OURS}, +0 ms", f"{OURS}, +{1000 * ROUND_TRIP:.0f} ms"


@contextlib.contextmanager
def object_store(work):
    """A Ceph object gateway below `work`: what radosgw-up says of it."""
    folder = os.path.join(work, "ceph")
    try:
        said = subprocess.run([_RADOSGW, "start", folder], stdout=subprocess.PIPE, check=True).stdout
        yield json.loads(said.decode("ascii"))
    finally:
        subprocess.run([_RADOSGW, "stop", folder], check=True)


@contextlib.contextmanager
def distant(endpoint, round_trip):
    """The same server as seen from so many seconds away; with 0 the forwarding alone costs."""
    host, port = endpoint.split("//")[1].split(":")
    process = subprocess.Popen([sys.executable, os.path.join(_HERE, "delay.py"), host, port, str(round_trip)], stdout=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def steps(tool, url, work, disk, out):
    """{step: command}"""
    if tool.startswith("restic"):
        return {"make": f"restic -q init -r {url}/bench",
                "capture": f"restic -q backup -r {url}/bench --stdin < {disk}",
                "restore": f"restic -q dump -r {url}/bench latest stdin > {out}"}
    return {"make": engine_call(work, "init", f"{url}/bench"),
            "capture": engine_call(work, "capture", f"{url}/bench", disk),
            "restore": engine_call(work, "restore", f"{url}/bench", out)}


def measure(work, disk):
    """The figures of all tools; `stored` is not asked of the server."""
    figures = []
    out = os.path.join(work, "out.raw")
    for tool, round_trip in ((OURS, None), ("restic", None), (NEAR, 0), (FAR, ROUND_TRIP)):
        with object_store(work) as store, contextlib.ExitStack() as stack:
            env = dict(peer_environment(work), AWS_ACCESS_KEY_ID=store["access_key"], AWS_SECRET_ACCESS_KEY=store["secret_key"])
            endpoint = store["endpoint"] if round_trip is None else stack.enter_context(distant(store["endpoint"], round_trip))
            read_through(disk)
            for step, command in steps(tool, "s3:" + endpoint, work, disk, out).items():
                figure = run(tool, step, command, work, env=env)
                if step != "make":
                    figures.append(figure)
                    print(f"{tool:28} {step:10} {figure.seconds:7.1f} s", file=sys.stderr, flush=True)
            remove(out)
            remove(env["RESTIC_CACHE_DIR"])
    return figures


def promises(figures):
    kept = []
    for step in ("capture", "restore"):
        ratio = median(figures, "restic", step) / median(figures, OURS, step)
        kept.append(Promise(f"{step} speed over S3: {ratio:.2f} x restic (wanted at least 1)", ratio >= 1))
    for step in ("capture", "restore"):
        share = median(figures, NEAR, step) / median(figures, FAR, step)
        kept.append(Promise(f"{step} speed with {1000 * ROUND_TRIP:.0f} ms added: {share:.2f} of that without (wanted at least {KEPT_WANTED:g})",
                            share >= KEPT_WANTED))
    return kept
