#!/bin/sh
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Initramfs files made by the tools of Debian, as oracles for test_real_initramfs.py:  make_chroots.sh FOLDER KERNEL
# FOLDER comes to hold the chroots "dracut" (Debian 12) and "compressed" (Debian 13, modules packed with xz); KERNEL is an unpacked
# kernel package with its index files, ~/.cache/agnostic.recovery/tests/linux-image-*, which the tests beside this file make.
set -eu
folder=$1
kernel=$(realpath "$2")
version=$(ls "$kernel/lib/modules")
mkdir -p "$folder"
cd "$folder"

mmdebstrap --variant=essential --components=main \
    --include=kmod,dracut-core,systemd,udev,zstd,xz-utils,lvm2,mdadm,btrfs-progs,cpio,e2fsprogs,util-linux bookworm dracut
cp -a "$kernel/lib/modules" dracut/usr/lib/
cp "$kernel"/boot/* dracut/boot/
chroot dracut dracut -f --no-hostonly --gzip /root/generic.img "$version"
chroot dracut dracut -f --hostonly --omit-drivers "virtio virtio_ring virtio_pci virtio_blk virtio_scsi nvme" --zstd /root/hostonly.img "$version"
# Debian has no mkinitcpio; with its sources (version 41 was used) in dracut/tmp/mkinitcpio and busybox-static, gawk and bsdtar in there:
#   MODULES=(ahci sd_mod ext4) HOOKS=(base udev) COMPRESSION=zstd                           -> /root/mkinitcpio-udev.img
#   MODULES=(ahci sd_mod ext4) HOOKS=(base) COMPRESSION=lz4 COMPRESSION_OPTIONS=(-l)        -> /root/mkinitcpio-base.img

mmdebstrap --variant=essential --components=main --include=kmod,initramfs-tools,systemd,udev,zstd,xz-utils,cpio trixie compressed
mkdir -p "compressed/usr/lib/modules/$version"
target=$(realpath "compressed/usr/lib/modules/$version")
(
    cd "$kernel/lib/modules/$version"
    for part in arch/x86/crypto crypto drivers/ata drivers/block drivers/hv drivers/message drivers/nvme drivers/pci drivers/scsi drivers/virtio \
        drivers/xen fs/ext4 fs/jbd2 fs/mbcache.ko lib; do
        find "kernel/$part" -name '*.ko'
    done | cpio -pdm --quiet "$target"
    cp modules.order modules.builtin* "$target"
)
find "$target" -name '*.ko' -exec xz --check=crc32 -1 {} +
cp "$kernel"/boot/* compressed/boot/
chroot compressed depmod "$version"
printf 'MODULES=list\nBUSYBOX=n\nCOMPRESS=zstd\n' > compressed/etc/initramfs-tools/initramfs.conf
printf 'ahci\nsd_mod\next4\n' > compressed/etc/initramfs-tools/modules
chroot compressed mkinitramfs -o /root/list.img "$version"
