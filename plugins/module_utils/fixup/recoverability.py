# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a machine can be recovered on each platform that is known: inspect and plan of the fix-ups, of which nothing is applied.

What a kernel lacks can be installed while the machine runs. In the night in which it is recovered elsewhere, it cannot.
"""

from typing import Dict, Iterator, NamedTuple, Sequence, Tuple

from ..errors import FixupError, RecoveryError
from ..machine.firmware import read_firmware
from ..machine.model import Disk
from ..target.profile import Profile
from . import engine, journal
from .change import Change, Finding
from .draft import Draft
from .situation import Options, Situation, inspect

AS_IS = "as_is"                      # it boots there as it is
WITH_CHANGES = "with_changes"        # it boots there once the fix-ups have changed its recovery image
NO = "no"                            # it will not do there all that it does now, and no fix-up mends that: the errors say what does
NOT_JUDGED = "not_judged"

# What an image keeps of a judgement has to stay small: docs/format.md, section 8.
MAX_SENTENCE = 600                   # characters
MAX_ERRORS = 8
MAX_WARNINGS = 5


class Judgement(NamedTuple):
    """All that is known of a machine on one target."""
    target: str                              # name of the profile
    verdict: str                             # as_is with_changes no not_judged
    changes: Tuple[Change, ...] = ()
    findings: Tuple[Finding, ...] = ()
    reason: str = ""                         # why it was not judged


class Verdict(NamedTuple):
    """What an image keeps of it."""
    target: str
    verdict: str
    changes: int = 0                         # how many files the fix-ups change
    errors: Tuple[str, ...] = ()             # sentences: what is in the way, and what to do
    more_errors: int = 0                     # that are left out
    warnings: Tuple[str, ...] = ()
    more_warnings: int = 0
    reason: str = ""


class Recoverability(NamedTuple):
    """What an image tells of where its machine can be recovered."""
    targets: Tuple[Verdict, ...] = ()
    notes: Tuple[str, ...] = ()              # what holds for all of them
    reason: str = ""                         # why nothing was judged


def judge(tree, disks: Sequence[Disk], profiles: Sequence[Profile], options: Options = Options()) -> Iterator[Judgement]:
    """A Judgement for each profile, in their order. `tree` and `disks` are those of `engine.fix_up`. Nothing is written or raised."""
    reason = _no_linux(tree)
    situation = None
    if not reason:
        try:
            situation = inspect(tree, disks, profiles[0], options)
        except Exception as error:       # pylint: disable=broad-except  # a root of unknown making can break a reader in any way
            reason = _described(error)
    additions = {}                       # type: Dict
    for profile in profiles:
        if situation is None:
            yield Judgement(profile.name, NOT_JUDGED, reason=reason)
            continue
        try:
            yield _judged(situation._replace(profile=profile), additions)
        except Exception as error:       # pylint: disable=broad-except  # nor may one target's fix-ups spoil the others' judgement
            yield Judgement(profile.name, NOT_JUDGED, reason=_described(error))


def _no_linux(tree):
    if tree.isdir("/Windows/System32"):
        return "It is a Windows system, and fix-ups are known for Linux only."
    if not tree.isdir("/etc"):
        return f"The root at {tree.root} holds no /etc, so it is not that of a Linux system."
    return ""


def _judged(situation: Situation, additions) -> Judgement:
    draft = Draft(situation.tree, additions)
    try:
        engine.fill(situation, draft)
        engine.check_room(situation.tree, journal.edits(draft.changes))
    except FixupError as error:
        # What a fix-up gives up for is mostly told by its own findings already, sentence by sentence.
        if not any(finding.severity == "error" and finding.text in str(error) for finding in draft.findings):
            draft.find("error", str(error))
    findings = tuple(dict.fromkeys(draft.findings))
    if any(finding.severity == "error" for finding in findings):
        verdict = NO
    else:
        verdict = WITH_CHANGES if draft.changes else AS_IS
    return Judgement(situation.profile.name, verdict, tuple(draft.changes), findings)


def _described(error):
    return str(error) if isinstance(error, RecoveryError) else f"{type(error).__name__}: {error}. This is a defect of the fix-ups."


def kept(judgement: Judgement) -> Verdict:
    """What an image keeps of a judgement."""
    errors, warnings = (
        tuple(_clean(finding.text) for finding in judgement.findings if finding.severity == severity) for severity in ("error", "warning")
    )
    return Verdict(
        judgement.target, judgement.verdict, len({change.path for change in judgement.changes}),
        errors[:MAX_ERRORS], len(errors[MAX_ERRORS:]), warnings[:MAX_WARNINGS], len(warnings[MAX_WARNINGS:]), _clean(judgement.reason))


def not_judged(reason: str) -> Recoverability:
    return Recoverability(reason=_clean(reason))


def firmware_note(tree, disks: Sequence[Disk], started_by_uefi: bool) -> str:
    """What is odd about how a running machine was started, beside what its disks are made for; "" if nothing is."""
    if not started_by_uefi or read_firmware(tree, disks) != "bios":
        return ""
    return (
        "The machine was started by UEFI firmware, and the disks hold no EFI system partition with a loader, so it is judged as one made "
        "for BIOS. If that partition is on a disk that is left out, capture that disk too."
    )


def _clean(text):
    """A sentence may quote names from the machine's own files."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= MAX_SENTENCE else text[:MAX_SENTENCE - 1] + "\u2026"
