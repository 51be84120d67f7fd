# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The view of a root that may be hostile: nothing outside of it is ever read."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

SECRET = b"the worker's own secret"


@pytest.fixture
def root(tmp_path):
    """A root directory beside a file of the worker that it must not reach."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "root"
    for folder in ("etc", "usr/lib", "boot"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "hostname").write_bytes(b"shop\n")
    (root / "usr" / "lib" / "os-release").write_bytes(b"ID=debian\n")
    os.symlink("/usr/lib", str(root / "lib"))
    os.symlink("../usr/lib/os-release", str(root / "etc" / "os-release"))
    return root


def link(root, path, target):
    os.symlink(target, str(root / path))


def test_plain_reading(root):
    tree = Tree(str(root))
    assert tree.read_text("/etc/hostname") == "shop\n"
    assert tree.read_bytes("etc//./hostname") == b"shop\n"
    assert tree.listdir("/") == ["boot", "etc", "lib", "usr"]
    assert tree.isfile("/etc/hostname") and not tree.isdir("/etc/hostname") and tree.isdir("/etc") and tree.isdir("/")
    assert not tree.exists("/etc/nothing") and not tree.exists("/etc/hostname/below")
    assert tree.stat("/etc/hostname").st_size == 5


def test_links_are_followed_as_the_machine_itself_would(root):
    tree = Tree(str(root))
    assert tree.read_text("/etc/os-release") == "ID=debian\n"
    assert tree.read_text("/lib/os-release") == "ID=debian\n"
    assert tree.resolve("/lib/os-release") == "/usr/lib/os-release"
    assert tree.resolve("/lib/..") == "/usr"
    assert tree.resolve("/") == "/"
    assert tree.islink("/lib") and not tree.islink("/lib/os-release")
    assert tree.readlink("/etc/os-release") == "../usr/lib/os-release"
    assert tree.host_path("/lib/os-release") == str(root / "usr" / "lib" / "os-release")


@pytest.mark.parametrize("target", ["/secret", "../../secret", "../../../../../../../../secret", "/../../secret", "../root/../../secret"])
def test_no_link_leads_out(root, target):
    link(root, "etc/fstab", target)
    tree = Tree(str(root))
    assert not tree.exists("/etc/fstab") and tree.islink("/etc/fstab")
    with pytest.raises(MachineError):
        tree.read_bytes("/etc/fstab")


def test_an_absolute_link_to_a_file_of_the_host_stays_inside(root):
    link(root, "etc/fstab", str(root.parent / "secret"))
    link(root, "outside", str(root.parent))
    tree = Tree(str(root))
    for path in ("/etc/fstab", "/outside/secret", "/outside/root/etc/hostname"):
        assert not tree.exists(path)
        with pytest.raises(MachineError):
            tree.read_bytes(path)
    with pytest.raises(MachineError):
        tree.listdir("/outside")
    assert tree.glob("/outside/*") == []


def test_etc_shadow_through_a_link_is_the_root_s_own(root):
    (root / "etc" / "shadow").write_bytes(b"own\n")
    link(root, "etc/fstab", "/etc/shadow")
    link(root, "etc/passwd", "../../../../etc/shadow")
    tree = Tree(str(root))
    assert tree.read_bytes("/etc/fstab") == tree.read_bytes("/etc/passwd") == b"own\n"


def test_dots_stop_at_the_root(root):
    tree = Tree(str(root))
    assert tree.read_text("/../../../etc/hostname") == "shop\n"
    assert not tree.exists("/../secret")


def test_cycles_end(root):
    link(root, "etc/a", "b")
    link(root, "etc/b", "/etc/a")
    link(root, "etc/self", "self/x")
    tree = Tree(str(root))
    for path in ("/etc/a", "/etc/self", "/etc/self/y"):
        assert not tree.exists(path)
        with pytest.raises(MachineError):
            tree.resolve(path)


def test_forty_links_are_followed_and_no_more(root):
    (root / "etc" / "link0").write_bytes(b"end")
    for number in range(1, 42):
        link(root, f"etc/link{number}", f"link{number - 1}")
    tree = Tree(str(root))
    assert tree.read_bytes("/etc/link40") == b"end"
    with pytest.raises(MachineError):
        tree.read_bytes("/etc/link41")


def test_only_regular_files_are_read(root):
    os.mkfifo(str(root / "etc" / "fifo"))
    link(root, "etc/zero", "/dev/zero")
    tree = Tree(str(root))
    for path in ("/etc/fifo", "/etc", "/etc/zero"):
        assert not tree.isfile(path)
        with pytest.raises(MachineError):
            tree.read_bytes(path)


def test_reading_is_bounded(root):
    (root / "etc" / "large").write_bytes(b"x" * 100)
    tree = Tree(str(root))
    assert len(tree.read_bytes("/etc/large", limit=100)) == 100
    with pytest.raises(MachineError, match="larger than 99 bytes"):
        tree.read_bytes("/etc/large", limit=99)
    with open(str(root / "etc" / "sparse"), "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(MachineError, match="larger"):
        tree.read_text("/etc/sparse")
    assert len(tree.read_bytes("/etc/large", limit=None)) == 100


def test_bytes_that_are_no_text_survive(root):
    raw = b"# caf\xe9\n\xff\r\n"
    (root / "etc" / "fstab").write_bytes(raw)
    with open(os.fsencode(str(root / "etc")) + b"/n\xe4me", "wb") as file:
        file.write(b"x")
    tree = Tree(str(root))
    assert tree.read_text("/etc/fstab").encode("utf-8", "surrogateescape") == raw
    odd = [name for name in tree.listdir("/etc") if name.startswith("n")][0]
    assert tree.read_bytes("/etc/" + odd) == b"x"


def test_impossible_names_are_errors_of_the_machine(root):
    tree = Tree(str(root))
    for path in ("/etc/a\0b", "/" + "x" * 300, "/" + "y/" * 5000):
        assert not tree.exists(path)
        with pytest.raises(MachineError):
            tree.read_bytes(path)


def test_glob(root):
    (root / "boot" / "vmlinuz-1").write_bytes(b"")
    (root / "boot" / "vmlinuz-2").write_bytes(b"")
    (root / "boot" / ".vmlinuz-hidden").write_bytes(b"")
    link(root, "boot/vmlinuz-dangling", "nowhere")
    tree = Tree(str(root))
    assert tree.glob("/boot/vmlinuz-[12]") == ["/boot/vmlinuz-1", "/boot/vmlinuz-2"]
    assert tree.glob("/b*/vmlinuz-d*") == ["/boot/vmlinuz-dangling"]
    assert tree.glob("/boot/*hidden") == [] and tree.glob("/boot/.*") == ["/boot/.vmlinuz-hidden"]
    assert tree.glob("/lib/os-*") == ["/lib/os-release"]
    assert tree.glob("/nothing/*") == tree.glob("/nothing") == []


def test_resolving_what_is_not_there_yet(root):
    tree = Tree(str(root))
    assert tree.resolve("/lib/new/deeper", missing=True) == "/usr/lib/new/deeper"
    assert tree.resolve("/lib/os-release", missing=True) == "/usr/lib/os-release"
    link(root, "etc/later", "/lib/later")
    assert tree.resolve("/etc/later", missing=True) == "/usr/lib/later"
    with pytest.raises(MachineError):
        tree.resolve("/lib/new")
    with pytest.raises(MachineError):
        tree.resolve("/lib/new/../../x", missing=True)
    with pytest.raises(MachineError):
        tree.resolve("/etc/hostname/below", missing=True)


def test_a_descriptor_of_a_folder_stays_inside(root):
    link(root, "out", str(root.parent))
    tree = Tree(str(root))
    with tree.directory("/lib") as descriptor:
        assert os.listdir(descriptor) == ["os-release"]
    with pytest.raises(MachineError):
        with tree.directory("/out"):
            pass


def test_no_descriptor_is_left_open(root):
    link(root, "etc/a", "a")
    tree = Tree(str(root))
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/etc/hostname", "/etc/a", "/nothing/here", "/etc"):
        tree.exists(path)
        with pytest.raises(MachineError):
            tree.read_bytes(path, limit=1)
    tree.listdir("/lib")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_root_that_is_none(tmp_path):
    with pytest.raises(MachineError, match="no mounted root"):
        Tree(str(tmp_path / "absent"))


def test_hidden_places(tmp_path):
    """Mount points of what is no part of the machine: nobody goes there, by whatever way."""
    for name in ("own", "server/data", "own/inner"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "link").symlink_to("/server/data")
    (tmp_path / "own" / "up").symlink_to("../server")
    os.mkfifo(str(tmp_path / "fifo"))
    tree = Tree(str(tmp_path), hidden=("/server", "/own/inner", "/fifo"))
    for path in ("/server", "/server/data", "/server/data/file", "/link", "/link/file", "/own/up/data/file", "/own/inner",
                 "/own/../server"):
        assert not tree.exists(path) and not tree.isdir(path) and not tree.isfile(path)
        with pytest.raises(MachineError):
            tree.stat(path)
    assert tree.islink("/link") and tree.readlink("/own/up") == "../server" and tree.read_text("/own/file") == "x"
    assert tree.glob("/*/file") == ["/own/file"] and tree.glob("/server*") == []
    assert tree.resolve("/own/inner/new", missing=True) == "/own/inner/new"
    assert tree.resolve("/link/new", missing=True) == "/server/data/new"
    with pytest.raises(MachineError):
        tree.resolve("/server/../own", missing=True)
    with pytest.raises(MachineError):
        tree.listdir("/own/inner")
