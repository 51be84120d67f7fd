# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RegisterImage, RunInstances, CreateVolume as the Amazon EC2 API reference describes them, as far as images of snapshots go."""

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import amis, elastic_block_store, instances
from moto.ec2.responses.amis import AmisResponse


def register_image(self):
    get, backend = self._get_param, self.ec2_backend
    name, mappings = get("Name"), get("BlockDeviceMappings") or []
    self.error_on_dryrun()
    if any(image.name == name and image.owner_id == backend.account_id for image in backend.amis.values()):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
    for mapping in mappings:
        disk = mapping.get("Ebs") or {}
        if "SnapshotId" in disk:
            snapshot = backend.snapshots.get(disk["SnapshotId"])
            if snapshot is None:
                raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{disk['SnapshotId']}' does not exist.")
            if snapshot.status != "completed":
                raise EC2ClientError("IncorrectState", f"Snapshot {snapshot.id} is not completed.")
            disk.setdefault("VolumeSize", snapshot.volume_size)
            disk["Encrypted"] = snapshot.encrypted
    image = backend.register_image(name, get("Description") or "")
    backend.snapshots.pop(image.ebs_snapshot.id)         # moto's own, of 15 GiB
    image.mappings = mappings
    image.architecture = get("Architecture") or "i386"
    image.root_device_name = get("RootDeviceName")
    image.root_device_type = "ebs"
    image.virtualization_type = get("VirtualizationType") or "paravirtual"
    image.boot_mode, image.ena_support = get("BootMode"), get("EnaSupport")
    image.tpm_support, image.imds_support = get("TpmSupport"), get("ImdsSupport")
    for specification in get("TagSpecifications") or []:
        image.add_tags({tag["Key"]: tag["Value"] for tag in specification["Tags"]})
    return ActionResult({"ImageId": image.id})


def apply():
    AmisResponse.register_image = register_image
    plain_mappings = amis.Ami.block_device_mappings.fget
    amis.Ami.block_device_mappings = property(lambda image: getattr(image, "mappings", None) or plain_mappings(image))
    plain_run = instances.InstanceBackend.run_instances

    def run_instances(self, image_id, *arguments, **options):
        tokens = self.__dict__.setdefault("run_tokens", {})
        token = options.get("client_token")
        if token in tokens:
            return tokens[token]
        image = self.amis.get(image_id)
        if image is None:
            raise EC2ClientError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        if getattr(image, "mappings", None):
            wanted = {mapping["DeviceName"]: mapping for mapping in options.get("block_device_mappings") or []}
            merged = []
            for mapping in image.mappings:
                over = (wanted.pop(mapping["DeviceName"], {}).get("Ebs")) or {}
                merged.append({"DeviceName": mapping["DeviceName"],
                               "Ebs": dict(mapping["Ebs"], **{name: value for name, value in over.items() if value is not None})})
            options["block_device_mappings"] = merged + list(wanted.values())
        tokens[token] = plain_run(self, image_id, *arguments, **options)
        return tokens[token]

    instances.InstanceBackend.run_instances = run_instances
    plain_volume = elastic_block_store.EBSBackend.create_volume

    def create_volume(self, *arguments, **options):
        volume = plain_volume(self, *arguments, **options)
        volume.snapshot_id = volume.snapshot_id or ""        # of none, as DescribeVolumes tells it
        return volume

    elastic_block_store.EBSBackend.create_volume = create_volume
