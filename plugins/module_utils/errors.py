# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of the library.

Every message is made for the operator: one or two plain sentences that say what is wrong, where, and what to do.
Adapters turn any `RecoveryError` into a failed task without a traceback; anything else is a defect.
"""


class RecoveryError(Exception):
    """Base of all errors that the library raises on purpose."""


class SourceError(RecoveryError):
    """The source cannot be read or is not what it was said to be. Never a fault of the repository."""


class RepositoryError(RecoveryError):
    """The object store failed, is full, or does not hold what it should. Never a fault of the source."""


class DamagedObjectError(RepositoryError):
    """A stored object is missing, was altered or cut short."""


class KeyAccessError(RepositoryError):
    """No key at hand opens the repository: wrong passphrase, wrong key file, or a credential that may only write."""


class TargetError(RecoveryError):
    """The restored disk, its mounts or the guest at the target failed."""


class MachineError(RecoveryError):
    """A disk or root file system describes no machine that we understand."""


class FixupError(RecoveryError):
    """A recovery image cannot be fitted to the target."""
