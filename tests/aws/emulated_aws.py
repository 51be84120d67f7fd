# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the extended moto on loopback, and tells how to reach it."""

import json
import os
import subprocess
import time
import urllib.request
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
REGION = "eu-central-1"
PLACE = {"region": REGION, "access_key": "testing", "secret_key": "testing-secret"}       # moto takes any


class Cloud:
    """`place`: the options of the module ebs_snapshot and of boto3's clients that lead there."""

    def __init__(self, url, folder):
        self.url, self.folder = url, folder
        self.place = dict(PLACE, endpoint_url=url)

    def client(self, service):
        import boto3
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=PLACE["access_key"],
                            aws_secret_access_key=PLACE["secret_key"])

    def order_faults(self, count, share, seed):
        """Of the next requests to the EBS direct API, this share fails, until there were so many failures."""
        request = urllib.request.Request(f"{self.url}/extension/faults?count={count}&share={share}&seed={seed}", data=b"", method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def faults(self):
        """{kind: how many} since they were ordered."""
        with urllib.request.urlopen(f"{self.url}/extension/faults", timeout=60) as answer:
            return json.load(answer)


@contextmanager
def emulated_aws(python, folder, devices=False):
    """A Cloud while the context lasts. `python`: one that has moto. `devices`: attached volumes become loop devices; needs root."""
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, "server.log")
    command = [python, "-m", "extendedmoto", os.path.join(folder, "content")] + (["--devices"] if devices else [])
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                   env=dict(os.environ, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1"))
    try:
        url = process.stdout.readline().decode("ascii").strip()
        assert url.startswith("http://127.0.0.1:"), f"the emulated AWS did not start, see {log}"
        _wait(url)
        yield Cloud(url, folder)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _wait(url):
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url + "/moto-api/data.json", timeout=60).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
