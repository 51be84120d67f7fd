# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes two calls the same job."""

import os

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.job import identity
from ansible_collections.agnostic.recovery.plugins.module_utils.job.secrets import Scrubber

SPEC = {
    "kind": "capture", "machine": "web1", "repository": {"type": "directory", "path": "/srv/r"},
    "disks": [{"name": "sda", "path": "/dev/sda"}, {"name": "sdb", "path": "/dev/sdb"}],
    "passphrase": "one", "workers": 2, "consistency": "auto",
}


@pytest.mark.parametrize("change", [
    {"passphrase": "two"}, {"passphrase": None, "capture_credential": "c"}, {"workers": 4}, {"facts": {"os": "x"}}, {"check": False},
    {"disks": list(reversed(SPEC["disks"]))},
])
def test_manners_do_not_make_another_job(change):
    assert identity.job_id(dict(SPEC, **change)) == identity.job_id(SPEC)


@pytest.mark.parametrize("change", [
    {"kind": "restore"}, {"machine": "web2"}, {"repository": {"type": "directory", "path": "/srv/s"}},
    {"disks": SPEC["disks"][:1]}, {"image": "latest"}, {"check": True},
    {"disks": [{"name": "sda", "path": "/dev/sdb"}, {"name": "sdb", "path": "/dev/sda"}]},
])
def test_other_work_is_another_job(change):
    assert identity.job_id(dict(SPEC, **change)) != identity.job_id(SPEC)


def test_verifications_differ_by_images_and_level():
    verify = {"kind": "verify", "repository": SPEC["repository"], "level": "structure", "images": None}
    ids = {identity.job_id(dict(verify, **change)) for change in (
        {}, {"level": "full"}, {"images": ["a/1", "a/2"]}, {"images": ["a/2", "a/1"]}, {"machine": "a"})}
    assert len(ids) == 4


def test_snapshots_differ_by_name_region_and_what_is_wanted():
    snapshot = {"kind": "snapshot", "state": "present", "name": "a", "path": "/d"}
    ids = {identity.job_id(dict(snapshot, **change)) for change in (
        {}, {"name": "b"}, {"region": "r"}, {"state": "absent"}, {"path": "/e"}, {"secret_key": "s"}, {"workers": 2})}
    assert len(ids) == 5
    assert identity.resources(snapshot) == ["snapshot a in the default region"]
    assert identity.resources(dict(snapshot, state="absent", path=None)) == identity.resources(snapshot)
    assert not identity.may_be_handed_out(snapshot)
    assert identity.with_host_paths(dict(snapshot, path="/x/../d"))["path"] == "/d"


def test_the_id_says_what_it_is_and_holds_no_path():
    assert identity.job_id(SPEC).startswith("capture-web1-")
    assert identity.job_id(dict(SPEC, machine="../../ü b")).startswith("capture-b-")
    assert len(identity.job_id(dict(SPEC, machine="x" * 300))) < 64


def test_paths_are_those_of_the_host(monkeypatch):
    monkeypatch.setenv("HOME", "/home/backup")
    disks = [{"name": "sda", "path": "/dev/../dev/sda"}]
    spec = identity.with_host_paths(dict(SPEC, key_file="~/key", repository={"path": "~/r"}, disks=disks))
    assert (spec["key_file"], spec["repository"]["path"]) == ("/home/backup/key", "/home/backup/r")
    assert spec["disks"] == [{"name": "sda", "path": "/dev/sda"}]
    assert SPEC["disks"][0]["path"] == "/dev/sda"


def test_what_a_job_needs_for_itself(tmp_path):
    assert identity.resources(SPEC) == ["capture of machine 'web1' into directory:/srv/r"]
    assert identity.resources(dict(SPEC, check=True)) == []
    os.symlink("/dev/null", str(tmp_path / "link"))
    restore = dict(SPEC, kind="restore", disks=[{"name": "sda", "path": str(tmp_path / "link")}])
    assert identity.resources(restore) == ["write to /dev/null"]
    assert identity.resources({"kind": "verify"}) == []


def test_secrets_are_hidden_wherever_they_stand():
    scrub = Scrubber({"passphrase": "secret", "capture_credential": "secret-longer", "key_file": "/k"})
    assert scrub("a secret-longer, a secret, a /k") == "a ********, a ********, a /k"
    assert Scrubber({})("as it was") == "as it was"
