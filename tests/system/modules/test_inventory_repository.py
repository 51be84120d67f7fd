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
    config = {"plugin": PLUGIN, "repository": play.variables["repository"], "key_file": play.variables["key"]}
    config.update(options)
    (play.folder / "dr.repository.yml").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    out, said = run(play, "ansible-inventory", "--list", fails=fails)
    return json.loads(out or "{}", object_hook=_plain), said


def run(play, program, *arguments, fails=False):
    """(what it prints, what it says beside)"""
    done = subprocess.run(
        [os.path.join(os.path.dirname(play.command), program), "-i", str(play.folder / "dr.repository.yml")] + list(arguments), check=False, timeout=120,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=str(play.folder),
        env=dict(play.environment(), ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1", THE_PLACE=str(play.folder)))
    said = done.stderr.decode()
    assert (done.returncode != 0) == fails, said + done.stdout.decode()
    return done.stdout.decode(), " ".join(said.split())


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


def test_what_a_source_wrote_is_no_template(any_play, repository, disk):
    """A source that was taken over must not run anything on the controller."""
    evil = "{{ lookup('ansible.builtin.pipe', 'touch " + str(any_play.folder / "taken") + "') }}"
    any_play.run([any_play.capture(machine="shop", facts={"hostname": "{% raw %}" + evil + "{% endraw %}"})])
    found, _said = inventory(any_play, compose={"named": "dr_source.hostname"}, keyed_groups=[{"key": "dr_source.hostname", "prefix": "h"}])
    assert found["_meta"]["hostvars"]["shop"]["dr_source"]["hostname"] == found["_meta"]["hostvars"]["shop"]["named"] == "(" + evil[1:]
    shown, _said = run(any_play, "ansible", "shop", "-m", "ansible.builtin.debug", "-a", "msg={{ dr_source.hostname }}")
    assert "lookup(" in shown and not (any_play.folder / "taken").exists()


KEPT = {"dr_wave": 2, "dr_required": False, "dr_checks": [{"name": "rows", "kind": "sql", "password": "a hidden word"}], "dr_worker": "left out",
        "dr_network": {"address": "{% raw %}{{ 6 * 7 }}{% endraw %}"}}


def test_how_machines_are_recovered_comes_from_the_repository(any_play, repository, disk):
    machines = [{"name": "shop", "variables": KEPT}, {"name": "not-captured", "variables": {"dr_wave": 1}}]
    keep = any_play.task("repository_settings", machines=machines)
    any_play.run([any_play.capture(machine="shop"), any_play.capture(machine="db1", register="other"),
                  dict(keep, check_mode=True, register="planned"), dict(keep, register="first"), dict(keep, register="second"),
                  any_play.results("planned", "first", "second")], "-vvv", "--diff")
    results = any_play.result()
    assert [results[name]["changed"] for name in ("planned", "first", "second")] == [True, True, False]
    assert results["first"]["machines"] == ["not-captured", "shop"]
    found, said = inventory(any_play)
    shop = found["_meta"]["hostvars"]["shop"]
    assert (shop["dr_wave"], shop["dr_required"], shop["dr_network"]) == (2, False, {"address": "{{ 6 * 7 }}"}) and "dr_worker" not in shop
    assert shop["dr_checks"] == KEPT["dr_checks"] and "dr_wave" not in found["_meta"]["hostvars"]["db1"]
    assert sorted(found["dr_machines"]["hosts"]) == ["db1", "shop"]

    # What stands beside the file goes before it; who does not want it says so.
    (any_play.folder / "group_vars").mkdir()
    (any_play.folder / "group_vars" / "dr_machines.json").write_text(json.dumps({"dr_wave": 7}))
    assert inventory(any_play)[0]["_meta"]["hostvars"]["shop"]["dr_wave"] == 7
    assert "dr_checks" not in inventory(any_play, settings=False)[0]["_meta"]["hostvars"]["shop"]

    # The capture credential lists machines, and no more.
    any_play.run([dict(any_play.task("repository_credential"), no_log=True)])
    assert "dr_checks" not in inventory(any_play, key_file=None, capture_credential=any_play.result()["capture_credential"])[0][
        "_meta"]["hostvars"]["shop"]

    # In another epoch they are there still; then they are removed.
    gone = any_play.task("repository_settings", machines=[{"name": "shop"}], state="absent")
    any_play.run([any_play.task("repository_epoch", number=2, register="epoch"), any_play.task("repository_settings", machines=machines, register="kept"),
                  dict(gone, register="gone"), dict(gone, register="again"), any_play.results("kept", "gone", "again")])
    assert [any_play.result()[name]["changed"] for name in ("kept", "gone", "again")] == [False, True, False]
    assert [path.parent.name for path in any_play.folder.glob("repository/settings/*/*")] == ["not-captured", "not-captured"]


def test_no_password_is_shown(play, repository):
    keep = play.task("repository_settings", machines=[{"name": "shop", "variables": KEPT}])
    shown = play.run([keep, play.task("repository_settings", machines=[{"name": "shop", "variables": {"dr_wave": 1}}])], "-vvv", "--diff")
    assert "rows" in shown and "a hidden word" not in shown
    wrong = dict(keep, **{"agnostic.recovery.repository_settings": dict(keep["agnostic.recovery.repository_settings"], key_file="/nowhere/key")})
    shown = play.run([wrong], "-vvv", fails=True)
    assert "cannot be read" in shown and "a hidden word" not in shown
