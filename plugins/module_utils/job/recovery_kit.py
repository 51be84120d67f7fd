# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a recovery kit: the page, and the key slot of the key that is printed on it."""

import hashlib
import os
import re

from ..errors import KeyAccessError
from ..image.manifest import image_ids
from ..repository.keyadmin import KeyAdministration
from ..repository.open import open_store
from ..repository.recovery_key import new_recovery_key, read_recovery_key, write_recovery_key
from ..repository.repository import open_repository
from ..repository.slots import list_slots
from ..runbook.recovery_kit import Kit, kit_html, kit_text
from .opening import key_of
from .options import REPOSITORY_SPEC
from .privatefile import ensure_private_file

TEXT, PAGE = "recovery-kit.txt", "recovery-kit.html"
_KEY_LINE = re.compile(r"^ *[1-4]: [0-9A-Z]{4}(?: [0-9A-Z]{4}){4}$", re.M)


def make_kit(options, check):
    """Write the page of a repository to `options["output_dir"]`; returns (changed, [path of text, path of HTML]).

    With `include_key` it holds a key of its own, which gets a slot labelled `label`. A page that is there already keeps its key: it can be
    made anew as long as the text file is there. Raises RepositoryError, KeyAccessError.
    """
    paths = [os.path.join(options["output_dir"], name) for name in (TEXT, PAGE)]
    with open_store(options["repository"]) as store:
        opener = key_of(options)
        repository = open_repository(store, opener)
        slots = [(slot.label, slot.type) for slot in list_slots(store, repository.info.id) if not slot.problem]
        key, add = None, None
        if options["include_key"]:
            administration = KeyAdministration(store, opener)
            key, add = _printed_key(administration, store, options["label"], paths[0])
            if add:
                slots.append((options["label"], "key-file"))
        kit = _kit(repository, options, slots, key and tuple(write_recovery_key(key)))
        written = [ensure_private_file(path, text.encode("utf-8"), check) for path, text in zip(paths, (kit_text(kit), kit_html(kit)))]
        if add and not check:
            administration.add(key, options["label"])
        return add or any(written), paths


def _printed_key(administration, store, label, path):
    """(the key to print, whether it still needs a slot). The files come first, then the slot: a call that is killed can be repeated."""
    printed = _key_in(path)
    own = [slot for slot in list_slots(store, administration.repository_id) if slot.label == label]
    if printed and any(administration.opens(slot.name, printed) for slot in own):
        return printed, False
    if own:
        raise KeyAccessError("There is a key slot labelled '{0}', but {1} does not hold its key, which is nowhere else. Take the "
                             "slot away with repository_key (state=absent) or give another label.".format(label, path))
    return printed or new_recovery_key(), True


def _key_in(path):
    """The key on a page that was made before; None where there is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            lines = _KEY_LINE.findall(handle.read())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyAccessError("The file {0} cannot be read: {1}.".format(path, error))
    return read_recovery_key("\n".join(lines)) if lines else None


def _kit(repository, options, slots, key):
    known = REPOSITORY_SPEC["repository"]["options"]
    given = {name: value for name, value in options["repository"].items() if value not in (None, "")}
    secrets = tuple(sorted(name for name in given if known[name].get("no_log")))
    public = repository.secrets.public_key if repository.secrets else b""
    digest = hashlib.sha256(public).hexdigest()[:32]
    return Kit(
        id=repository.info.id, format_version=repository.info.format_version, created=repository.info.created,
        epoch=len(repository.secrets.private_keys) if repository.secrets else 0,
        fingerprint=" ".join(digest[start:start + 4] for start in range(0, 32, 4)),
        location={name: value for name, value in given.items() if name not in secrets}, withheld=secrets, slots=tuple(sorted(slots)),
        machines=tuple(sorted({image_id.rpartition("/")[0] for image_id in image_ids(repository)})), label=options["label"], key=key)
