# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading /lib/modules/<version>."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import modules
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

VERSION = "6.1.0-9-amd64"

DEP = """\
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/scsi/virtio_scsi.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/virtio/virtio.ko.xz kernel/drivers/scsi/scsi_mod.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/virtio/virtio.ko.xz
"""


def root(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / "usr/lib/modules" / VERSION / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not (tmp_path / "lib").exists():
        (tmp_path / "lib").symlink_to("usr/lib")
    return Tree(str(tmp_path))


def test_closure_puts_what_is_needed_first(tmp_path):
    found = modules.read_modules(root(tmp_path, {"modules.dep": DEP}), VERSION)
    assert found.directory == "/usr/lib/modules/" + VERSION
    order = found.closure(["virtio-pci", "virtio_scsi"])
    assert sorted(order) == ["scsi_mod", "virtio", "virtio_pci", "virtio_ring", "virtio_scsi"]
    assert order.index("virtio") < order.index("virtio_ring") < order.index("virtio_pci")
    assert order.index("scsi_mod") < order.index("virtio_scsi")
    assert found.files["virtio_pci"] == "kernel/drivers/virtio/virtio-pci.ko.xz"


def test_built_in_and_unknown_drivers_are_no_files(tmp_path):
    found = modules.read_modules(
        root(tmp_path, {"modules.dep": DEP, "modules.builtin": "kernel/drivers/ata/libata.ko\nkernel/drivers/scsi/sd-mod.ko\n"}), VERSION
    )
    assert found.state("sd_mod") == "builtin"
    assert found.state("sd-mod") == "builtin"
    assert found.state("virtio_scsi") == "module"
    assert found.state("nvme") == ""
    assert found.closure(["sd_mod", "nvme"]) == ()


def test_soft_dependencies_come_along_where_they_exist(tmp_path):
    found = modules.read_modules(
        root(tmp_path, {"modules.dep": DEP, "modules.softdep": "# comment\nsoftdep virtio_net pre: virtio_ring post: absent\n"}), VERSION
    )
    assert set(found.closure(["virtio_net"])) == {"virtio_net", "virtio", "virtio_ring"}


def test_soft_dependency_on_an_alias(tmp_path):
    found = modules.read_modules(
        root(
            tmp_path,
            {
                "modules.dep": DEP,
                "modules.softdep": "softdep scsi_mod pre: some-algorithm\n",
                "modules.alias": "alias some_algorithm virtio_ring\nalias x y\n",
            },
        ),
        VERSION,
    )
    assert set(found.closure(["scsi_mod"])) == {"scsi_mod", "virtio_ring", "virtio"}


def test_absolute_paths_of_old_depmod(tmp_path):
    dep = f"/lib/modules/{VERSION}/kernel/drivers/block/a.ko: /lib/modules/{VERSION}/kernel/b.ko\n/lib/modules/{VERSION}/kernel/b.ko:\n"
    found = modules.read_modules(root(tmp_path, {"modules.dep": dep}), VERSION)
    assert found.files == {"a": "kernel/drivers/block/a.ko", "b": "kernel/b.ko"}
    assert found.closure(["a"]) == ("b", "a")


def test_circle_of_dependencies_ends(tmp_path):
    found = modules.read_modules(root(tmp_path, {"modules.dep": "k/a.ko: k/b.ko\nk/b.ko: k/a.ko\n"}), VERSION)
    assert set(found.closure(["a"])) == {"a", "b"}


def test_kernel_without_modules_is_no_error(tmp_path):
    (tmp_path / "etc").mkdir()
    found = modules.read_modules(Tree(str(tmp_path)), VERSION)
    assert found.directory == "" and found.state("ext4") == ""


def test_modules_without_index_are_an_error(tmp_path):
    tree = root(tmp_path, {"kernel/fs/ext4.ko": ""})
    with pytest.raises(MachineError, match="depmod"):
        modules.read_modules(tree, VERSION)


@pytest.mark.parametrize("version", ["", "..", "../../etc", "a/b"])
def test_hostile_versions(tmp_path, version):
    with pytest.raises(MachineError):
        modules.read_modules(Tree(str(tmp_path)), version)


@pytest.mark.parametrize(
    "path,name", [("a/b/virtio-pci.ko", "virtio_pci"), ("nvme-core.ko.zst", "nvme_core"), ("x.ko.gz", "x"), ("sd_mod", "sd_mod")]
)
def test_names(path, name):
    assert modules.module_name(path) == name


def test_driver_class():
    assert modules.driver_class("usr/lib/modules/6.1/kernel/drivers/scsi/virtio_scsi.ko.xz") == "storage"
    assert modules.driver_class("kernel/drivers/net/ethernet/intel/e1000/e1000.ko") == "network"
    assert modules.driver_class("kernel/fs/ext4/ext4.ko") == ""
