# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin, through the real ansible-inventory: a repository and its key are all there is."""

import glob
import json
import os
import subprocess

PLUGIN = "agnostic.recovery.repository"


def inventory(play, fails=False, **options):
    """(what ansible-inventory --list prints, what it says beside)"""
    path = play.folder / "dr.repository.yml"
    config = {"plugin": PLUGIN, "repository": play.variables["repository"], "key_file": play.variables["key"]}
    path.write_text(json.dumps(dict(config, **options)))
    done = subprocess.run(
        [os.path.join(os.path.dirname(play.command), "ansible-inventory"), "-i", str(path), "--list"], check=False, timeout=120,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=str(play.folder),
        env=dict(play.environment(), ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1", THE_PLACE=str(play.folder)))
    said = done.stderr.decode()
    assert (done.returncode != 0) == fails, said
    return json.loads(done.stdout.decode() or "{}", object_hook=_plain), " ".join(said.split())


def _plain(value):
    """Older ansible-inventory marks texts that are no templates."""
    return value["__ansible_unsafe"] if list(value) == ["__ansible_unsafe"] else value


def test_the_machines_of_a_repository(any_play, repository, disk):
    any_play.run([any_play.capture(machine="shop"), any_play.capture(machine="shop", register="second"),
                  any_play.capture(machine="db1", register="db1"), any_play.results("second", "db1")])
    images = {name: result["image"] for name, result in any_play.result().items()}
    found, _said = inventory(
        any_play, keyed_groups=[{"key": "dr_image_info.consistency", "prefix": "is"}], groups={"shops": "dr_machine == 'shop'"},
        compose={"dr_target": "'kvm'"})
    assert sorted(found["dr_machines"]["hosts"]) == sorted(found["is_offline"]["hosts"]) == ["db1", "shop"]
    assert found["shops"]["hosts"] == ["shop"]
    shop = found["_meta"]["hostvars"]["shop"]
    assert shop["dr_image"] == shop["dr_image_info"]["id"] == images["second"]["id"]
    assert shop["dr_machine"] == "shop" and shop["dr_target"] == "kvm"
    assert shop["dr_source"]["disks"] == [{"name": "sda", "size": 64 << 20, "sector_size": 512}]
    assert found["_meta"]["hostvars"]["db1"]["dr_image"] == images["db1"]["id"]


def test_some_machines_of_a_place_from_a_lookup(play, repository, disk):
    play.run([play.capture(machine="shop-1"), play.capture(machine="db1", register="db1")])
    location = {"path": "{{ lookup('ansible.builtin.env', 'THE_PLACE') }}/repository"}
    found, _said = inventory(play, machines=["shop-*", "web*"], repository=location)
    assert found["dr_machines"]["hosts"] == ["shop-1"]
    assert "dr_machines" not in inventory(play, image="2020-01-01T00:00:00Z")[0]


def test_what_goes_wrong_is_said(play, repository, disk):
    play.run([play.capture(machine="shop"), play.capture(machine="shop", register="second")])
    newest = sorted(glob.glob(str(play.folder / "repository" / "images" / "shop" / "*")))[-1]
    with open(newest, "r+b") as file:
        file.truncate(100)
    found, said = inventory(play)
    assert "is damaged" in said and not newest.endswith(found["_meta"]["hostvars"]["shop"]["dr_image"].rpartition("/")[2])
    assert "names no image" in inventory(play, fails=True, image="yesterday")[1]
    wrong = play.folder / "wrong"
    wrong.write_bytes(b"x" * 32)
    assert "key" in inventory(play, fails=True, key_file=str(wrong))[1]


def test_a_cache(play, repository, disk):
    play.run([play.capture(machine="shop")])
    options = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(play.folder / "cache")}
    first, _said = inventory(play, **options)
    os.rename(str(play.folder / "repository"), str(play.folder / "gone"))
    assert inventory(play, **options)[0] == first
    assert str(play.folder / "repository") in inventory(play, fails=True)[1]
