# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drivers of the disks and network cards that the common platforms show to a guest.

Names are those of kernel modules with "_" for "-". The machine model records which of them a kernel has, so that a later
recovery knows, without the machine, where it can run.
"""

STORAGE_DRIVERS = frozenset((
    # any disk
    "sd_mod", "scsi_mod", "sr_mod", "dm_mod", "md_mod", "raid1",
    # KVM, OpenStack
    "virtio", "virtio_ring", "virtio_pci", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_blk", "virtio_scsi",
    # SATA and IDE, real and emulated
    "ahci", "libahci", "libata", "ata_piix", "ata_generic", "pata_acpi",
    # NVMe: AWS Nitro and others
    "nvme", "nvme_core",
    # VMware
    "vmw_pvscsi", "mptbase", "mptscsih", "mptspi", "mptsas", "sym53c8xx", "BusLogic",
    # Hyper-V, Azure
    "hv_vmbus", "hv_storvsc", "scsi_transport_fc", "pci_hyperv",
    # Xen
    "xen_blkfront", "xen_scsifront", "xen_pcifront",
    # controllers of physical servers
    "megaraid_sas", "mpt2sas", "mpt3sas", "aacraid", "hpsa", "cciss", "smartpqi", "arcmsr", "isci", "mvsas", "qla2xxx", "lpfc", "bfa",
    "fnic", "usb_storage", "uas", "mmc_block",
))

NETWORK_DRIVERS = frozenset((
    # KVM, OpenStack
    "virtio_net", "net_failover", "failover",
    # emulated and physical Intel, Realtek, AMD
    "e1000", "e1000e", "igb", "igbvf", "igc", "ixgbe", "ixgbevf", "i40e", "iavf", "ice", "8139cp", "8139too", "r8169", "pcnet32",
    # VMware
    "vmxnet3",
    # Hyper-V, Azure
    "hv_netvsc", "mana", "mlx4_core", "mlx4_en", "mlx5_core",
    # Xen
    "xen_netfront",
    # AWS, Google
    "ena", "gve", "idpf",
    # other physical servers
    "bnx2", "bnx2x", "bnxt_en", "tg3", "be2net", "qede", "enic", "sfc",
))

KNOWN_DRIVERS = STORAGE_DRIVERS | NETWORK_DRIVERS
