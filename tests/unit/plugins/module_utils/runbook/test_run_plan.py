# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a run: waves, its id, and what speaks against it."""

import calendar

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import DiskInfo, ImageInfo
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.plan import Finding, Wanted, make_plan, plan_lines

NOW = calendar.timegm((2026, 11, 22, 2, 0, 0))


def image(machine, created="2026-11-22T01:00:00Z", recoverable=None):
    return ImageInfo(f"{machine}/20261122T010000Z-9f3a61c2", machine, created, "filesystem", "", (DiskInfo("sda", 8 << 30, 512, 1 << 30, 1 << 30),),
                     8 << 30, 1 << 30, 0, 0, 1.0, (), recoverable or {})


def wanted(machine, **values):
    return Wanted(machine, **dict({"checks": ("page",)}, **values))


def plan(*machines, kind="failover", images=None, missing=None):
    images = {each.machine: image(each.machine) for each in machines} if images is None else images
    return make_plan(kind, machines, images, missing or {}, NOW)


def texts(made, level):
    return [(finding.machine, finding.text) for finding in made.findings if finding.level == level]


def test_machines_stand_by_wave_and_else_as_in_the_inventory():
    made = plan(wanted("web2", wave=2), wanted("db", wave=1), wanted("web1", wave=2))
    assert [planned.wanted.machine for planned in made.machines] == ["db", "web2", "web1"]
    assert made.waves == [1, 2] and made.runnable and made.findings == ()


def test_the_id_stands_for_what_will_be_done_and_not_for_when():
    one = wanted("db", size={"memory": 1024, "cpus": 2})
    first = plan(one)
    assert first.id == make_plan("failover", [one], {"db": image("db")}, {}, NOW + 60).id
    assert first.id == plan(one._replace(image=image("db").id)).id
    others = [plan(one, kind="drill"), plan(one._replace(size={"memory": 2048, "cpus": 2})), plan(one, wanted("web")),
              plan(one, images={"db": image("db")._replace(id="db/20261122T010001Z-9f3a61c2")}), plan(one._replace(wave=2))]
    assert len({each.id for each in others} | {first.id}) == len(others) + 1


def test_a_machine_without_an_image_stops_the_plan():
    made = plan(wanted("db"), wanted("web"), images={"db": image("db")}, missing={"web": "There is no image of machine web."})
    assert not made.runnable and texts(made, "error") == [("web", "There is no image of machine web.")]


@pytest.mark.parametrize("values, level, text", [
    ({"target": "vax"}, "error", "'vax' is no target profile"),
    ({"provider": "steam"}, "error", "'steam' is not one of aws, libvirt, openstack, qemu"),
    ({"network": {"mode": "bridge"}}, "error", "'bridge' is not one of keep, dhcp, mapped"),
    ({"rpo": "30m"}, "warning", "1 h 00 min old, older than the 30m"),
    ({"checks": ()}, "warning", "no checks"),
])
def test_what_speaks_against_a_machine(values, level, text):
    made = plan(wanted("db", **values))
    (found,) = texts(made, level)
    assert found[0] == "db" and text in found[1] and made.runnable == (level == "warning")


def test_what_a_capture_found_about_the_target_is_told():
    made = plan(wanted("db", target="aws-nitro"), images={"db": image("db", recoverable={"aws-nitro": "no", "kvm": "as_is"})})
    assert made.runnable and "cannot be recovered on aws-nitro" in texts(made, "warning")[0][1]


def test_two_machines_with_one_address_in_one_network_clash():
    def at(name, **network):
        return wanted(name, network=network)
    same = plan(at("a", segment="shop", address="192.0.2.10"), at("b", segment="shop", address="192.0.2.10"))
    assert texts(same, "error") == [("a", "It and b would both have the address 192.0.2.10.")]
    mapped = plan(at("a", segment="shop", address="192.0.2.10"), at("b", segment="shop", mode="mapped", addresses=[{"address": "192.0.2.10/24"}]))
    assert not mapped.runnable
    for fine in ((at("a", segment="one", address="192.0.2.10"), at("b", segment="two", address="192.0.2.10")),
                 (at("a", address="192.0.2.10"), at("b", address="192.0.2.10")),         # guests without a segment have networks of their own
                 (at("a", segment="shop", address="192.0.2.10"), at("b", segment="shop", address="rubbish"))):
        assert plan(*fine).runnable


def test_a_machine_that_two_hosts_name_is_refused():
    made = plan(wanted("db"), wanted("db", wave=2))
    assert [finding.level for finding in made.findings] == ["error"] and "Two hosts" in made.findings[0].text


def test_nothing_to_recover_is_no_plan():
    with pytest.raises(RecoveryError, match="no host of the inventory"):
        plan()


def test_a_promise_that_is_none_is_told():
    with pytest.raises(RecoveryError, match="'soon' is no duration"):
        plan(wanted("db", rpo="soon"))


def test_the_plan_as_text():
    made = plan(wanted("db", rpo="2h", size={"memory": 1024}, network={"mode": "mapped", "segment": "shop", "address": "192.0.2.10"}),
                wanted("web", wave=2, required=False, checks=()))
    lines = plan_lines(made._replace(findings=made.findings + (Finding("error", "", "The key is wrong."),)))
    assert lines[0] == f"failover {made.id}: 2 machines in 2 waves"
    text = "\n".join(lines)
    for part in ("wave 1\n  db\n    image    db/20261122T010000Z-9f3a61c2, filesystem, 1 h 00 min old, within its RPO of 2h", "sda 8.0 GiB; 1.0 GiB to restore",
                 "qemu, profile kvm, worker localhost, memory 1024", "mapped shop 192.0.2.10", "wave 2\n  web (later waves do not need it)",
                 "checks   none", "error: The key is wrong.", "warning: web: It has no checks"):
        assert part in text
