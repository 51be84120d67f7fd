# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How machines are recovered, kept in the repository: wave, target, network, checks, and the secrets of checks.

So the repository and its key are enough to plan and run a failover. Settings decide what runs on workers (a check may be a command), so
only those count that were sealed in the newest epoch: who was shut out by it may have kept the older keys.
"""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..errors import KeyAccessError
from ..repository.repository import Repository
from ..repository.store import SETTINGS
from . import records

# What of a machine's variables is kept. Where the repository, its key and the workers are belongs to the place of the recovery.
VARIABLES = (
    "dr_aws", "dr_checks", "dr_drivers", "dr_fixups", "dr_guest", "dr_libvirt", "dr_luks_keys", "dr_network", "dr_openstack", "dr_provider",
    "dr_required", "dr_rpo", "dr_size", "dr_target", "dr_wave")
_SECRETS = ("password", "passphrase")
_KIND = records.Kind(SETTINGS, b"ZIAS", b"zia/1 settings", 1 << 20, "settings", True)


def keep_settings(repository: Repository, machine: str, variables: Dict[str, Any], now: float) -> None:
    """Store those of the variables that are kept; they are the machine's settings from then on. Raises RepositoryError, KeyAccessError."""
    _refuse_unencrypted(repository)
    records.keep(repository, _KIND, machine, only_kept(variables), now)


def only_kept(variables: Dict[str, Any]) -> Dict[str, Any]:
    return {name: variables[name] for name in VARIABLES if name in variables}


def forget_settings(repository: Repository, machine: str) -> None:
    records.forget(repository, _KIND, machine)


def read_settings(repository: Repository, machine: Optional[str] = None) -> Tuple[Dict[str, Dict[str, Any]], List[str]]:
    """({machine: its variables}, messages on newer ones that cannot be used) of all machines or of one.

    Raises KeyAccessError for who holds only the capture credential, and in an unencrypted repository.
    """
    _refuse_unencrypted(repository)
    found, messages = records.read_newest(repository, _KIND, machine)
    return {name: only_kept(record.content) for name, record in found.items()}, messages


def seal_again(before: Repository, after: Repository, now: float) -> None:
    """Carry the settings into a new epoch: `before` and `after` are the repository as opened then and now."""
    for machine, variables in read_settings(before)[0].items():
        keep_settings(after, machine, variables, now)


def secrets_in(value: Any) -> Iterator[str]:
    """The passwords and passphrases within variables, for who must not print them."""
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and name in _SECRETS:
                yield each
            else:
                yield from secrets_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from secrets_in(each)


def _refuse_unencrypted(repository):
    if repository.secrets is None:
        raise KeyAccessError("An unencrypted repository keeps no settings: whoever can write to it could say what runs on workers.")
