# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model as JSON and back."""

import json

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import model
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.data import from_data, to_data

MACHINE = model.Machine(
    name="shop",
    firmware="bios",
    os=model.OsRelease("debian", "12", "Debian GNU/Linux 12", ("x", "y")),
    disks=(
        model.Disk("sda", 1 << 30, 512, "mbr", "d1c2a3b4", (
            model.Partition(1, 1 << 20, 1 << 29, "0x83", "d1c2a3b4-01", bootable=True, content=model.Content("ext4", "u", "l", 5)),
        ), boot_code=True, notes=("a note",)),
        model.Disk("sdb", 1 << 20),
    ),
    mounts=(model.Mount("/dev/sda1", "/", "ext4"),),
    kernels=(model.Kernel("6.1", builtin=("nvme",)),),
    nics=(model.Nic("eth0", addresses=(model.Address("192.0.2.1/24", "192.0.2.254"),)),),
    warnings=("w",),
)


def test_there_and_back():
    text = json.dumps(to_data(MACHINE))
    assert from_data(model.Machine, json.loads(text)) == MACHINE


def test_every_class_of_the_model_is_supported():
    smallest = {"name": "n", "size": 1, "kind": "k", "number": 1, "start": 0, "type": "t", "spec": "s", "path": "p", "version": "v",
                "address": "a", "destination": "d", "gateway": "g"}
    classes = [value for value in vars(model).values() if isinstance(value, type) and issubclass(value, tuple) and value is not tuple]
    assert len(classes) >= 9
    for cls in classes:
        if hasattr(cls, "_fields"):
            value = cls(**{name: smallest[name] for name in cls._fields if name not in cls._field_defaults})
            assert from_data(cls, to_data(value)) == value


def test_defaults_and_unknown_keys():
    assert from_data(model.Disk, {"name": "sda", "size": 5, "colour": "red"}) == model.Disk("sda", 5)


@pytest.mark.parametrize("change,place", [
    ({"size": "5"}, "Disk.size must be of type int, not str"),
    ({"size": True}, "Disk.size must be of type int, not bool"),
    ({"size": 5.0}, "Disk.size must be of type int, not float"),
    ({"boot_code": 1}, "Disk.boot_code must be of type bool, not int"),
    ({"table": None}, "Disk.table must be of type str, not NoneType"),
    ({"partitions": {}}, "Disk.partitions must be a list, not dict"),
    ({"partitions": "abc"}, "Disk.partitions must be a list, not str"),
    ({"partitions": [5]}, r"Disk.partitions\[0\] must be a dictionary, not int"),
    ({"partitions": [{"number": 1}]}, r"Disk.partitions\[0\] lacks start, size, type"),
    ({"notes": ["x", 1]}, r"Disk.notes\[1\] must be of type str, not int"),
    ({"content": []}, "Disk.content must be a dictionary, not list"),
])
def test_wrong_data_names_the_place(change, place):
    with pytest.raises(MachineError, match=place):
        from_data(model.Disk, dict({"name": "sda", "size": 1}, **change))


def test_what_is_required_must_be_there():
    with pytest.raises(MachineError, match="Disk lacks size"):
        from_data(model.Disk, {"name": "sda"})
    with pytest.raises(MachineError, match="Disk must be a dictionary"):
        from_data(model.Disk, [])


def test_bytes_that_are_no_text_become_escapes():
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert to_data(model.Machine(odd))["name"] == "caf\\xe9"
    json.dumps(to_data(model.Machine(odd)), ensure_ascii=False).encode()


def test_values_that_have_no_place_are_refused():
    with pytest.raises(MachineError):
        to_data(model.Disk("sda", 1.5))
