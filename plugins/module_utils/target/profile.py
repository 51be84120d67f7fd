# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Target profiles: what each platform shows a guest, as data with the source of each fact.

A bus is one way in which the platform may attach the disks, with all drivers that a kernel must have to read a disk on it; the first
bus of a profile is the one that the platform uses unless told otherwise. What a driver needs itself is not listed: that is read from
the kernel's own modules.dep.
"""

from typing import Dict, NamedTuple, Tuple

from ..errors import FixupError


class Bus(NamedTuple):
    name: str
    drivers: Tuple[str, ...]             # module names with "_"


class Profile(NamedTuple):
    name: str
    buses: Tuple[Bus, ...]
    nic_drivers: Tuple[str, ...]
    firmware: Tuple[str, ...]            # kinds of firmware that it offers: bios uefi
    console: str                         # serial console as the kernel's console= names it, "": it has none
    datasources: Tuple[str, ...]         # of cloud-init that can find something there, in the order in which they are asked
    agents: Tuple[str, ...]              # names in fixup/linux/agents.py that belong there; the first is what the platform looks for
    cpu_level: int                       # every machine type has at least x86-64-v<this>, 0: that depends on host or type
    sources: Tuple[str, ...]             # where the facts come from
    gpt_only: bool = False               # its UEFI starts disks with a GPT only

    @property
    def disk_drivers(self) -> Tuple[str, ...]:
        """The drivers of all its buses, each once."""
        return tuple(dict.fromkeys(driver for bus in self.buses for driver in bus.drivers))


VIRTIO_SCSI = Bus("virtio-scsi", ("virtio_pci", "virtio_scsi", "sd_mod"))
VIRTIO_BLK = Bus("virtio-blk", ("virtio_pci", "virtio_blk"))
NVME = Bus("nvme", ("nvme",))
AHCI = Bus("ahci", ("ahci", "sd_mod"))
IDE = Bus("ide", ("ata_piix", "sd_mod"))
PVSCSI = Bus("pvscsi", ("vmw_pvscsi", "sd_mod"))
LSI_SPI = Bus("lsilogic", ("mptspi", "sd_mod"))
LSI_SAS = Bus("lsisas1068", ("mptsas", "sd_mod"))
HYPERV_SCSI = Bus("storvsc", ("hv_vmbus", "hv_storvsc", "sd_mod"))
HYPERV_NVME = Bus("nvme", ("pci_hyperv", "nvme"))
XEN_BLOCK = Bus("xen-blkfront", ("xen_blkfront",))

# A seed disk, as hypervisors without a metadata service give it, or nothing at all.
SEED = ("NoCloud", "ConfigDrive", "None")
HYPERV_AGENTS = ("hyperv-daemons",)

VIRTIO_SOURCES = (
    "OASIS Virtual I/O Device (VIRTIO) specification 1.2, sections 5.2 and 5.6",
    "kernel drivers/block/virtio_blk.c, drivers/scsi/virtio_scsi.c, drivers/virtio/virtio_pci_common.c",
)
DATASOURCES = "cloud-init documentation: datasources reference; tools/ds-identify"
HYPERV_SOURCES = (
    "Microsoft: Should I create a generation 1 or 2 virtual machine in Hyper-V (1: BIOS, boots from IDE; 2: UEFI, boots from SCSI)",
    "kernel Documentation/virt/hyperv/overview.rst, tools/hv",
)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "kvm",
            (VIRTIO_SCSI, VIRTIO_BLK, AHCI, IDE),
            ("virtio_net", "e1000", "e1000e"),
            ("bios", "uefi"),
            "ttyS0,115200",
            SEED,
            ("qemu-guest-agent",),
            0,
            VIRTIO_SOURCES + ("QEMU system emulation manual: device options, isa-serial; CPU models, x86-64 ABI levels", DATASOURCES),
        ),
        Profile(
            "openstack",
            (VIRTIO_BLK, VIRTIO_SCSI, AHCI, IDE),
            ("virtio_net", "e1000", "e1000e", "vmxnet3"),
            ("bios", "uefi"),
            "ttyS0,115200",
            ("ConfigDrive", "OpenStack", "None"),
            ("qemu-guest-agent",),
            0,
            VIRTIO_SOURCES + (
                "OpenStack Glance useful image properties: hw_disk_bus, hw_scsi_model, hw_vif_model, hw_firmware_type", DATASOURCES,
            ),
        ),
        Profile(
            "aws-nitro",
            (NVME,),
            ("ena", "ixgbevf"),
            ("bios", "uefi"),
            "ttyS0,115200",
            ("Ec2", "None"),
            ("amazon-ssm-agent",),
            3,                           # the oldest processors there are Skylake and Zen
            (
                "Amazon EC2 user guide: EBS volumes and NVMe, enhanced networking, boot modes",
                "Amazon EC2 instance types guide: instances built on the Nitro System, processors",
                DATASOURCES,
            ),
        ),
        Profile(
            "aws-xen",
            (XEN_BLOCK,),
            ("xen_netfront", "ixgbevf"),
            ("bios",),
            "ttyS0,115200",
            ("Ec2", "None"),
            ("amazon-ssm-agent", "xen-guest-utilities"),
            0,                           # Sandy Bridge to Broadwell by type
            ("Amazon EC2 user guide: device names on Linux instances, enhanced networking", DATASOURCES),
        ),
        Profile(
            "vmware",
            (PVSCSI, LSI_SPI, LSI_SAS, AHCI, NVME),
            ("vmxnet3", "e1000", "e1000e"),
            ("bios", "uefi"),
            "",                          # a virtual serial port is there only if it was added
            ("VMware", "OVF", "None"),
            ("open-vm-tools",),
            0,                           # by the EVC mode of the cluster
            (
                "VMware vSphere virtual machine administration: SCSI, SATA and NVMe controllers, network adapters, EVC",
                DATASOURCES,
            ),
        ),
        Profile(
            "hyperv-gen1",
            (HYPERV_SCSI, IDE),          # the boot disk hangs on an IDE controller, and storvsc reads it there too
            ("hv_netvsc",),
            ("bios",),
            "ttyS0,115200",
            SEED,
            HYPERV_AGENTS,
            0,                           # by the processor compatibility mode of the guest
            HYPERV_SOURCES + (DATASOURCES,),
        ),
        Profile(
            "hyperv-gen2",
            (HYPERV_SCSI,),
            ("hv_netvsc",),
            ("uefi",),
            "ttyS0,115200",
            SEED,
            HYPERV_AGENTS,
            0,
            HYPERV_SOURCES + (DATASOURCES,),
            gpt_only=True,
        ),
        Profile(
            "azure",
            (HYPERV_SCSI, HYPERV_NVME),
            ("hv_netvsc", "mlx4_en", "mlx5_core", "mana"),
            ("bios", "uefi"),
            "ttyS0,115200",
            ("Azure", "None"),
            ("walinuxagent",) + HYPERV_AGENTS,
            0,                           # by the size
            (
                DATASOURCES,
                "Microsoft Azure: prepare Linux for imaging (hv_vmbus, hv_storvsc, hv_netvsc), NVMe for remote disks",
                "Microsoft Azure: support for generation 2 VMs (UEFI, GPT)",
            ),
            gpt_only=True,
        ),
        Profile(
            "gcp",
            (VIRTIO_SCSI, NVME),
            ("virtio_net", "gve", "idpf"),
            ("bios", "uefi"),
            "ttyS0,38400",
            ("GCE", "None"),
            ("google-guest-agent",),
            0,                           # by the machine series and the minimum CPU platform
            (DATASOURCES, "Google Compute Engine: requirements to build custom images; guest OS features",),
        ),
        # The provider documents the hypervisor and neither the bus nor its metadata service: everything that KVM commonly shows.
        Profile(
            "ncloud-kvm",
            (VIRTIO_BLK, VIRTIO_SCSI, AHCI, IDE),
            ("virtio_net", "e1000"),
            ("bios", "uefi"),
            "ttyS0,115200",
            SEED,
            ("qemu-guest-agent",),
            0,
            VIRTIO_SOURCES + ("NAVER Cloud Platform API: hypervisorType KVM",),
        ),
        Profile(
            "ncloud-xen",
            (XEN_BLOCK, IDE),
            ("xen_netfront",),
            ("bios",),
            "ttyS0,115200",
            SEED,
            ("xen-guest-utilities",),
            0,
            ("NAVER Cloud Platform API: hypervisorType XEN; device names /dev/xvda",),
        ),
    )
}  # type: Dict[str, Profile]


def get_profile(name: str) -> Profile:
    """Raises FixupError for a name that is none."""
    try:
        return PROFILES[name]
    except KeyError:
        raise FixupError(f"There is no target profile {name!r}. Known are: {', '.join(sorted(PROFILES))}.")


def all_disk_drivers() -> Tuple[str, ...]:
    """The union over all profiles: an image that has them all boots on every known target, and back home."""
    return tuple(dict.fromkeys(driver for profile in PROFILES.values() for driver in profile.disk_drivers))
