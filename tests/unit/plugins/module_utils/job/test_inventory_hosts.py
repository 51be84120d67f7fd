# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory tells of a machine."""

from ansible_collections.agnostic.recovery.plugins.module_utils.job.inventory import variables_of

IMAGE = {
    "id": "shop/20261122T010203Z-9f3a61c2", "machine": "shop", "created": "2026-11-22T01:02:03Z", "consistency": "filesystem", "size": 5,
    "used": 3, "warnings": [], "recoverable": {"kvm": "as_is"}, "parent": "", "stored_new": 2,
    "disks": [{"name": "sda", "size": 5, "sector_size": 512, "used": 3, "data": 2}],
}


def test_variables_of_a_machine():
    machine = {"hostname": "shop", "os": {"id": "debian"}, "nics": [{"name": "eth0", "mac": "a", "source": "/etc/x"}], "kernels": [{}]}
    assert variables_of(IMAGE, machine) == {
        "dr_machine": "shop", "dr_image": "shop/20261122T010203Z-9f3a61c2",
        "dr_image_info": {"id": "shop/20261122T010203Z-9f3a61c2", "created": "2026-11-22T01:02:03Z", "consistency": "filesystem", "size": 5,
                          "used": 3, "warnings": [], "recoverable": {"kvm": "as_is"}},
        "dr_source": {"hostname": "shop", "os": {"id": "debian"}, "nics": [{"name": "eth0", "mac": "a"}],
                      "disks": [{"name": "sda", "size": 5, "sector_size": 512}]}}


def test_a_machine_of_which_nothing_is_known():
    assert variables_of(IMAGE, {})["dr_source"] == {"disks": [{"name": "sda", "size": 5, "sector_size": 512}], "nics": []}


def test_no_text_of_a_source_begins_a_template():
    machine = {"hostname": "{{ lookup('pipe', 'id') }}", "os": {"{% raw %}": ["{{{ a", "{#", "{ {", "a{", 5, None]}}
    source = variables_of(IMAGE, machine)["dr_source"]
    assert source["hostname"] == "({ lookup('pipe', 'id') }}" and source["os"] == {"(% raw %}": ["(({ a", "(#", "{ {", "a{", 5, None]}
