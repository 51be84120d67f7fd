# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real kernel packages, loop-mounted roots and initramfs files made by the real programs."""

import glob
import os
import shutil
import subprocess

import pytest

from fixup_roots import CACHE, HELD, PACKERS, fill, need, run


@pytest.fixture(scope="session")
def kernel():
    """(folder, version) of Debian's kernel package, unpacked with its index files; kept between runs."""
    need("apt-cache", "apt-get", "dpkg-deb", "depmod")
    found = run("apt-cache", "depends", "linux-image-amd64").decode()
    names = [line.split()[-1] for line in found.splitlines() if "Depends: linux-image-" in line]
    if not names:
        pytest.skip("apt knows no package linux-image-amd64")
    folder = os.path.join(CACHE, names[0])
    version = names[0].replace("linux-image-", "")
    if not os.path.isdir(folder):
        work = folder + ".new"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        if subprocess.run(["apt-get", "download", names[0]], cwd=work, stdin=subprocess.DEVNULL, check=False).returncode:
            pytest.skip("the kernel package cannot be downloaded")
        package, = glob.glob(work + "/*.deb")
        run("dpkg-deb", "-x", package, work)
        os.unlink(package)
        run("depmod", "-b", work, version)
        os.rename(work, folder)
    return folder, version


@pytest.fixture(scope="session")
def initramfs_tree(kernel, tmp_path_factory):
    """The unpacked content of an initramfs of SATA drivers, indexed by depmod as mkinitramfs does it."""
    folder, version = kernel
    tree = tmp_path_factory.mktemp("initramfs")
    modules = tree / "usr/lib/modules" / version
    for path in glob.glob(f"{folder}/lib/modules/{version}/**/*.ko*", recursive=True):
        if os.path.basename(path).split(".ko")[0] in HELD:
            target = modules / os.path.relpath(path, f"{folder}/lib/modules/{version}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, str(target))
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if os.path.exists(f"{folder}/lib/modules/{version}/{name}"):
            shutil.copy2(f"{folder}/lib/modules/{version}/{name}", str(modules))
    (tree / "lib").symlink_to("usr/lib")
    for name in ("conf/conf.d/resume", "usr/lib/systemd/systemd-udevd", "scripts/functions", "init"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("RESUME=/dev/sda3\n" if name.endswith("resume") else "#\n")
    run("depmod", "-b", str(tree), version)
    return tree


@pytest.fixture(scope="session")
def initramfs_file(initramfs_tree, tmp_path_factory):
    """A function: the initramfs in the given compression, made by GNU cpio and the compression's own program, with an early archive in
    front if asked."""
    need("cpio", "find")
    made = {}

    def make(packing, early=False):
        need(PACKERS[packing][0])
        if (packing, early) not in made:
            target = tmp_path_factory.mktemp("made") / f"{packing}{early}"
            names = run("find", ".", "-mindepth", "1", cwd=str(initramfs_tree))
            archive = run(
                "cpio", "-o", "-H", "newc", "--quiet", cwd=str(initramfs_tree), input=b"\n".join(sorted(names.split(b"\n"))[1:]) + b"\n"
            )
            front = run("cpio", "-o", "-H", "newc", "--quiet", cwd=str(initramfs_tree), input=b"init\n") if early else b""
            target.write_bytes(front + run(*PACKERS[packing], input=archive))
            made[packing, early] = str(target)
        return made[packing, early]

    return make


@pytest.fixture
def root(tmp_path, kernel, initramfs_file):
    return fill(tmp_path / "root", kernel, initramfs_file("gzip"))


@pytest.fixture
def mounted(tmp_path):
    """A function that makes a file system of some MiB, by default ext4, and mounts it; all are unmounted at the end."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    need("mkfs.ext4", "losetup", "mount", "umount")
    places = []

    def make(path, mib, *options, kind="ext4"):
        image = tmp_path / f"fs{len(places)}.img"
        with open(str(image), "wb") as file:
            file.truncate(mib << 20)
        run(f"mkfs.{kind}", "-q", *(("-F", "-m", "0") if kind == "ext4" else ()), str(image))
        os.makedirs(str(path), exist_ok=True)
        run("mount", "-o", ",".join(("loop",) + options), str(image), str(path))
        places.append(str(path))
        return str(path)

    yield make
    for place in reversed(places):
        subprocess.run(["umount", "-R", place], check=False)
