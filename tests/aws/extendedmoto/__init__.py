# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An extension of moto that closes its gaps, as far as this project meets them. It is a test double, not AWS.

moto (https://github.com/getmoto/moto) is an independent implementation of the API of AWS. What it leaves out or takes on trust (measured with
5.2.5) is done here as AWS documents it, a file each:

- snapshots.py: the EBS direct API: block size, checks of length, index, checksum, state, count; parents, client tokens, pages, block tokens
- images.py: RegisterImage keeps what it was told; RunInstances makes volumes of it and is idempotent; snapshots in use stay
- volumes.py: **emulation**: a volume has content, a file. Attached, it appears on this host as a Nitro worker would see it, by a loop device
- faults.py: throttling, errors, lost answers, timeouts and resets, on purpose

Still open, as in moto: signatures are not checked, rights neither, CopySnapshot makes an empty snapshot, nothing boots.
"""
