# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key slots and epochs of a repository, as tasks ask for them."""

import time

from ..errors import KeyAccessError, RepositoryError
from ..repository.keyadmin import LAST_SLOT, KeyAdministration
from ..repository.open import open_store
from ..repository.slots import check_new_key, list_slots
from ..runbook.settings import seal_again
from .opening import key_of, opened
from .plain import plain


def ensure_slot(options, check):
    """See that the slot labelled `options["label"]` is as the module repository_key says; returns (changed, slots before, slots after).

    With `check` nothing is written, and the slots after are those that would be. Raises RepositoryError, KeyAccessError.
    """
    with open_store(options["repository"]) as store:
        administration = KeyAdministration(store, key_of(options))
        before = _slots(store, administration)
        own = [slot for slot in before if slot["label"] == options["label"]]
        change = _remove if options["state"] == "absent" else _give
        after = change(administration, options, before, own, check)
        return after != before, before, after if check else _slots(store, administration)


def _remove(administration, _options, before, own, check):
    after = [slot for slot in before if slot not in own]
    if own and not any(slot["complete"] for slot in after):
        raise RepositoryError(LAST_SLOT)
    if own and not check:
        administration.remove([slot["name"] for slot in own])
    return after


def _give(administration, options, before, own, check):
    key = key_of(options["new_key"])
    kdf = options["kdf"] or ""
    complete = [slot for slot in own if slot["complete"]]
    fitting = [slot for slot in complete if kdf in ("", slot["type"]) and administration.opens(slot["name"], key)][:1]
    if complete and not fitting and options["state"] == "present":
        raise KeyAccessError("The new key does not open the key slot that is labelled '{0}'. To exchange its key, say state=replaced; "
                             "to keep both, give another label.".format(options["label"]))
    surplus = [slot for slot in own if slot not in fitting and (options["state"] == "replaced" or not slot["complete"])]
    after = [slot for slot in before if slot not in surplus]
    if not fitting:
        check_new_key(key)
        after.append({"name": "", "label": options["label"], "type": kdf, "created": "", "problem": "", "complete": True})
    if not check and not fitting:
        administration.add(key, options["label"], kdf, [slot["name"] for slot in surplus])
    elif not check and surplus:
        administration.remove([slot["name"] for slot in surplus])
    return after


def ensure_epoch(options, check):
    """See that the repository is in epoch `options["number"]`; returns (changed, the epoch before).

    Raises RepositoryError, KeyAccessError.
    """
    with open_store(options["repository"]) as store:
        administration = KeyAdministration(store, key_of(options))
        before = administration.held().keyring.epoch
        changed = before != options["number"]
        if check and changed and before + 1 != options["number"]:
            raise RepositoryError("The repository is in epoch {0}; the next one is {1}, not {2}.".format(
                before, before + 1, options["number"]))
        if changed and not check:
            with opened(options) as repository:
                administration.begin_epoch(options["number"])
                with opened(options) as renewed:
                    seal_again(repository, renewed, time.time())
        return changed, before


def _slots(store, administration):
    """The slots; those that are not `complete` are left by a call that was interrupted, and are not in the keyring."""
    known = administration.held().keyring.slots
    found = list_slots(store, administration.repository_id)
    return [dict(plain(slot), complete=slot.name in known and not slot.problem) for slot in found]
