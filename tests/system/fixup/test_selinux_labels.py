# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SELinux labels on real file systems, with setfiles as oracle: after the fix-ups it finds nothing to relabel."""

import glob
import os
import shutil
import subprocess
import time

import pytest

from fixup_roots import DISKS, fill, need, run, snapshot

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, journal
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import Options
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile

LABEL = "security.selinux"
DEBIAN = "/etc/selinux/default/contexts/files/file_contexts"
MADE = """
/.*                                             system_u:object_r:default_t:s0
/                       -d                      system_u:object_r:root_t:s0
/boot(/.*)?                                     system_u:object_r:boot_t:s0
/etc(/.*)?                                      system_u:object_r:etc_t:s0
/etc/systemd/network(/.*)?                      system_u:object_r:net_conf_t:s0
/etc/initramfs-tools/hooks/[^/]+        --      system_u:object_r:bin_t:s0
/usr(/.*)?                                      system_u:object_r:usr_t:s0
/usr/lib/systemd/system(/.*)?                   system_u:object_r:systemd_unit_t:s0
/var/lib(/.*)?                                  system_u:object_r:var_lib_t:s0
/var/lib/(a|agnostic\\.recovery)/fix[a-z]{3}(/.*)?   -d   system_u:object_r:var_lib_folder_t:s0
"""


def add_policy(path, policy):
    """The path of its file_contexts."""
    files = path + "/etc/selinux/tested/contexts/files"
    os.makedirs(files)
    with open(path + "/etc/selinux/config", "w", encoding="utf-8") as file:
        file.write("SELINUX=enforcing\nSELINUXTYPE=tested\n")
    if policy == "debian":
        if not os.path.exists(DEBIAN):
            pytest.skip("the package selinux-policy-default is not installed")
        for name in glob.glob(DEBIAN + "*"):
            if not name.endswith(".bin"):
                shutil.copy2(name, files)
    else:
        for suffix, text in (("", MADE), (".subs_dist", "/etc/systemd/system /usr/lib/systemd/system\n")):
            with open(f"{files}/file_contexts{suffix}", "w", encoding="utf-8") as file:
                file.write(text)
    return files + "/file_contexts"


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.parametrize("policy", ["made", "debian"])
def test_setfiles_finds_nothing_to_relabel(tmp_path, mounted, kernel, initramfs_file, kind, policy):
    need("setfiles", "getfattr", f"mkfs.{kind}")
    root = fill(mounted(tmp_path / "root", 340, kind=kind), kernel, initramfs_file("zstd"))
    # An agent of another platform, which is masked by a link.
    root.write("/usr/lib/systemd/system/vmtoolsd.service", "[Service]\n")
    os.makedirs(root.place("/etc/systemd/system"))
    setfiles = ("setfiles", "-v", "-e", root.place("/usr/lib/modules"), "-r", root.path, add_policy(root.path, policy), root.path)
    run(*setfiles)
    before = snapshot(root.path)
    result = engine.fix_up(root.tree, DISKS, get_profile("kvm"), Options())
    assert result.problems == ()
    assert [finding for finding in result.plan.findings if finding.fixup == "selinux"] == []
    assert run(setfiles[0], "-n", *setfiles[1:]).decode() == ""
    created = [path for path in result.applied.paths if root.place(path) not in before]
    assert len(created) >= 2 and any(os.path.islink(root.place(path)) for path in created)
    for path in created + [journal.FOLDER]:
        # setfiles, which agrees with what is there, would have written it with its final NUL.
        label = os.getxattr(root.place(path), LABEL, follow_symlinks=False)
        assert label.count(b"\0") == 1 and label.endswith(b"\0")
        shown = run("getfattr", "-h", "--absolute-names", "--only-values", "-n", LABEL, root.place(path))
        assert shown.rstrip(b"\0") == label[:-1]
    # Nothing is left to do, and undo leaves nothing.
    assert engine.fix_up(root.tree, DISKS, get_profile("kvm"), Options()).applied.paths == ()
    engine.undo(root.tree)
    assert snapshot(root.path) == before


def test_labels_through_fuse2fs(tmp_path):
    """What the worker's kernel cannot mount is mounted so."""
    need("fuse2fs", "mkfs.ext4", "debugfs", "fusermount")
    if os.geteuid() or not os.path.exists("/dev/fuse"):
        pytest.skip("FUSE file systems of root need root and /dev/fuse")
    image, place = str(tmp_path / "image"), tmp_path / "root"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    place.mkdir()
    run("fuse2fs", image, str(place))
    try:
        add_policy(str(place), "made")
        tree = Tree(str(place))
        draft = Draft(tree)
        draft.write_text("/etc/systemd/network/a.link", "x", "test")
        engine.apply(tree, engine.Plan("kvm", tuple(draft.changes), ()))
    finally:
        subprocess.run(["fusermount", "-u", str(place)], check=True)
    deadline = time.monotonic() + 30
    while b"net_conf_t" not in run("debugfs", "-R", "ea_list /etc/systemd/network/a.link", image, stderr=subprocess.DEVNULL):
        assert time.monotonic() < deadline, "the label is not on the disk"
        time.sleep(0.2)
