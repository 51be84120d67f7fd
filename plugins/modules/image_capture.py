#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: image_capture
short_description: Capture a machine's disks as an image in a repository
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Reads the used blocks of disks and stores what the repository does not hold yet, as one image in the ZIA format, the
    open image format of this collection. It is not ZConverter's file format.
  - When the running host captures itself it also judges where it could be recovered, and keeps that in the image.
  - The source is never changed. The image exists when the task has succeeded, and not before; what a stopped capture has stored is
    used by the next.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.engine_job
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
  - agnostic.recovery.engine_job
  - agnostic.recovery.engine_host
attributes:
  check_mode:
    support: full
    details: Opens the repository and the disks and tells how much would be read.
  diff_mode:
    support: none
options:
  machine:
    description: The machine's name in the repository, usually its inventory name.
    type: str
    required: true
  disks:
    description:
      - The disks to capture, in the machine's order.
      - By default those that make up the host, with all members of their volume groups, arrays and file systems, as
        M(agnostic.recovery.disk_info) tells them.
    type: list
    elements: dict
    suboptions:
      name:
        description: The disk's name in the image, such as V(sda). It is how the machine's own kernel called it.
        type: str
        required: true
      path:
        description: A block device or a raw disk file on the host.
        type: path
        required: true
  exclude:
    description:
      - Patterns, as of a shell, of what is not part of the machine, where O(disks) is not given.
      - One that begins with V(/) is matched with paths of disks and with mount points; any other with names, serial numbers and names
        in C(/dev/disk/by-id).
      - A disk is left out if all that is mounted from it is excluded, or if it is excluded itself.
    type: list
    elements: str
    default: []
    version_added: 1.1.0
  consistency:
    description:
      - V(auto) captures disks of which something is mounted read-write as V(snapshot) does where it can, else as V(freeze) does, and
        others as V(offline) does.
      - V(offline) refuses a disk of which something is mounted read-write on the host.
      - V(snapshot) makes snapshots of the logical volumes that are mounted from the disks, all at the moment in which all file systems are
        frozen together, and reads them after that moment. What lies on no logical volume is captured as with V(freeze). It fails where no
        snapshot can be made or the volume group lacks the room for it.
      - V(freeze) copies the disks while they are in use, again and again what changed, and at last freezes all file systems on them
        together for as long as it takes to read the rest. The image is marked as consistent in C(filesystem). Needs root. Without a
        mounted file system it is the same as V(offline). The repository must not lie on a file system that is frozen.
      - V(frozen) says that whoever calls has frozen the mounted file systems and keeps them so until the task ends; the image is marked
        as consistent in C(filesystem).
      - V(crash) is as V(freeze), and goes on where a file system cannot be frozen. That file system may then be torn, and the image is
        marked as consistent in C(crash).
    type: str
    choices: [auto, offline, snapshot, freeze, frozen, crash]
    default: auto
  snapshot_reserve:
    description:
      - How much of each logical volume may be overwritten while it is read from a snapshot, in percent of its size. The volume group must
        have that much free.
      - When a snapshot overflows there is no image.
    type: int
    default: 20
    version_added: 1.1.0
  freeze_limit:
    description:
      - The most seconds that file systems may be frozen at a time. A second process thaws them when it is over, also when the capture was
        killed; there is no image then.
      - When the last part cannot be expected to be read in that time there is no image either, and the message says what changes too fast.
    type: float
    default: 10
    version_added: 1.1.0
  hooks:
    description:
      - What applications do around the point of consistency, which is the moment at which file systems are frozen or snapshots made.
      - The first parts run in this order right before it, the second parts in the opposite order right after it, and always, also when
        something failed or the job was killed. What is held is held for seconds, not while the image is read and sent.
      - Only when all of them went well is the image marked as consistent in C(application).
      - For disks that are not in use on the host no hook is run, and a warning says so.
    type: list
    elements: dict
    default: []
    version_added: 1.1.0
    suboptions:
      name:
        description: How messages call it.
        type: str
        required: true
      kind:
        description:
          - V(command) runs O(hooks[].before) and O(hooks[].after).
          - V(postgresql) sees that the server's files survive a power cut (C(fsync)), makes a checkpoint and, if asked to, a restore point.
            Nothing is locked. The restored server recovers as from a power cut, with every transaction that was committed.
          - V(mysql), for MySQL and MariaDB, holds a global lock in a session that stays open. With MariaDB 10.4 and newer it is
            C(BACKUP STAGE), under which reads go on; otherwise C(FLUSH TABLES WITH READ LOCK).
        type: str
        choices: [command, postgresql, mysql]
        default: command
      before:
        description:
          - What to run before, as a list of arguments, or as a text for C(/bin/sh). It must return when the application is ready.
          - A secret in a command can be seen by everybody on the host; let the command read it from a file.
        type: raw
      after:
        description: What to run after, in the same forms.
        type: raw
      timeout:
        description: Seconds that each of the two may take. Then its whole process group is killed, and the hook has failed.
        type: float
        default: 60
      user:
        description:
          - Whom to run it as. By default the user of the job; for V(postgresql) it is C(postgres) if the job runs as root.
        type: str
      required:
        description:
          - Whether the capture fails with the hook. Otherwise the failure is a warning, and the image is not of consistency C(application).
        type: bool
        default: false
      client:
        description:
          - For V(postgresql) and V(mysql), the client and its arguments, such as V([mysql, --defaults-extra-file=/root/backup.cnf]) or
            V([docker, exec, -i, db, psql, -U, postgres]).
          - The default is C(psql) with the database C(postgres), and C(mariadb) or else C(mysql). No password is ever asked for.
        type: list
        elements: str
      restore_point:
        description: For V(postgresql), the name of a restore point to write into its log. Not for standby servers.
        type: str
  facts:
    description:
      - What else is known of the machine, to be kept in the image as part of the machine model, such as C(os), C(kernels) or C(nics).
      - Partition tables and file systems are read from the disks.
    type: dict
  workers:
    description: Number of threads that read and store; V(0) chooses by the host's processors.
    type: int
    default: 0
  read_limit:
    description:
      - The most that is read of the disks in a second, such as V(50M); V(0) sets no limit.
      - It spares the source, and bounds what is sent, because nothing is sent that was not read.
      - It does not hold while file systems are frozen.
    type: bytes
    default: 0
    version_added: 1.1.0
  bandwidth_limit:
    description:
      - The most that is sent to the repository in a second, such as V(10M), measured in bytes as they are stored, compressed and encrypted;
        V(0) sets no limit.
      - It does not hold while file systems are frozen.
    type: bytes
    default: 0
    version_added: 1.1.0
seealso:
  - module: agnostic.recovery.disk_info
  - module: agnostic.recovery.image_info
  - module: agnostic.recovery.image_restore
  - module: agnostic.recovery.recovery_plan
"""

EXAMPLES = r"""
- name: Capture a server's disk file
  agnostic.recovery.image_capture:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: "{{ inventory_hostname }}"
    disks:
      - name: sda
        path: /srv/guests/web1.raw

- name: Capture with a credential that cannot read
  agnostic.recovery.image_capture:
    repository:
      path: /mnt/recovery
    capture_credential: "{{ dr_capture_credential }}"
    machine: db1
    disks:
      - name: sda
        path: /dev/sdb
      - name: sdb
        path: /dev/sdc
  become: true

- name: Capture a running server with its databases
  agnostic.recovery.image_capture:
    repository:
      path: /mnt/recovery
    capture_credential: "{{ dr_capture_credential }}"
    machine: db1
    disks:
      - name: sda
        path: /dev/sda
    hooks:
      - name: PostgreSQL
        kind: postgresql
        required: true
      - name: queue
        before: [systemctl, stop, queue-worker]
        after: [systemctl, start, queue-worker]
    nice: 10
    bandwidth_limit: 20M
  become: true

- name: Capture the machine itself while it runs
  agnostic.recovery.image_capture:
    repository:
      path: /mnt/recovery
    capture_credential: "{{ dr_capture_credential }}"
    machine: "{{ inventory_hostname }}"
    disks:
      - name: sda
        path: /dev/sda
    consistency: freeze
    freeze_limit: 5
  become: true
"""

RETURN = r"""
hooks:
  description: What became of the hooks. The same is kept in the image.
  returned: when disks in use were captured
  type: list
  elements: dict
  contains:
    name:
      description: Name of the hook.
      type: str
    kind:
      description: Kind of the hook.
      type: str
    succeeded:
      description: Whether both of its parts went well.
      type: bool
    seconds:
      description: How long both took together.
      type: float
    detail:
      description: What the hook found, such as the server's version.
      type: dict
image:
  description: The new image. None in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: The image's id.
      type: str
      sample: web1/20261122T010203Z-9f3a61c2
    machine:
      description: Name of the machine.
      type: str
    created:
      description: When the capture began, UTC.
      type: str
      sample: "2026-11-22T01:02:03Z"
    consistency:
      description: What the image promises, V(offline), V(application), V(filesystem) or V(crash).
      type: str
    parent:
      description: Id of the image before it, or empty.
      type: str
    size:
      description: Bytes of all disks.
      type: int
    used:
      description: Bytes that were captured.
      type: int
    recoverable:
      description: For each target profile V(as_is), V(with_changes), V(no) or V(not_judged). Empty where nothing was judged.
      type: dict
      sample: {kvm: with_changes, aws-nitro: "no"}
    stored_new:
      description: Bytes that this capture added to the repository.
      type: int
    seconds:
      description: How long the capture took.
      type: float
disks:
  description: The disks as they were found.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the disk.
      type: str
    path:
      description: Where it was read.
      type: str
    size:
      description: Bytes of the disk.
      type: int
    used:
      description: Bytes of it that are in use, and captured.
      type: int
    table:
      description: Kind of partition table, V(gpt), V(mbr) or V(none).
      type: str
    parts:
      description: How the used bytes of each partition were told, and why a partition was read whole.
      type: list
      elements: dict
recoverability:
  description:
    - Where the machine can be recovered, as M(agnostic.recovery.recovery_plan) tells it. The same is kept in the image.
    - Only the running host itself is judged, and for at most 30 seconds. It never fails a capture.
  returned: success, not in check mode
  type: dict
  contains:
    reason:
      description: Why nothing was judged, or empty.
      type: str
    notes:
      description: What holds for all targets.
      type: list
      elements: str
    targets:
      description:
        - For each target profile C(target), C(verdict), C(changes), the number of files that fix-ups would change, C(errors), sentences that
          say what is in the way and what to do, C(warnings), C(more_errors) and C(more_warnings) that are left out, and C(reason).
      type: list
      elements: dict
left_out:
  description: Disks of the host that are not part of the machine. Empty where O(disks) is given.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the disk.
      type: str
      sample: nvme1n1
    reason:
      description: Why it was left out.
      type: str
      sample: removable
job:
  description: The engine job.
  returned: always
  type: dict
  contains:
    id:
      description: Id of the job on the host.
      type: str
    answer:
      description: Whether the task V(started) the job, V(joined) it, or was V(handed_out) the result of one that had ended.
      type: str
    status:
      description: How it ended, one of V(finished), V(failed), V(cancelled), V(died).
      type: str
    seconds:
      description: How long it ran.
      type: float
error_type:
  description: Type of the error, such as V(SourceError), V(RepositoryError) or V(KeyAccessError).
  returned: failure
  type: str
"""
