# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzes one target of fuzz_targets.py with atheris: fuzz.py TARGET CORPUS_FOLDER [options of libFuzzer].

`fuzz.py list` prints the targets.
"""

import os
import sys

import atheris

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

with atheris.instrument_imports(include=["ansible_collections.agnostic.recovery"]):
    import conftest  # noqa: F401  pylint: disable=unused-import
    import fuzz_targets


def main(name, folder="", *options):
    if name == "list":
        print("\n".join(fuzz_targets.TARGETS))
        return
    os.makedirs(folder, exist_ok=True)
    for number, data in enumerate(fuzz_targets.seeds(name)):
        with open(os.path.join(folder, "seed-%d" % number), "wb") as file:
            file.write(data)
    atheris.Setup([sys.argv[0], folder] + list(options), fuzz_targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
