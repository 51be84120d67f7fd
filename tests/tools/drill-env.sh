# shellcheck shell=bash
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Sourced by drill and drill-control: sets up the machine, the collection and the demo, and tears down on every way out.

. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
DR_DEMO_DIR=${DR_DEMO_DIR:-$CACHE/drill}
export DR_DEMO_DIR
REPORT=${DR_REPORT_DIR:-$ROOT/drill-report}
export REPORT

apt_install "$ROOT/tests/tools/packages-drill.txt" "$ROOT/tests/demo/packages.txt"
ansible=$(venv drill "$(python_for newest)" ansible-core)
export PATH=$ansible/bin:$PATH
export ANSIBLE_COLLECTIONS_PATH=$COLLECTIONS/drill ANSIBLE_FORCE_COLOR=0 ANSIBLE_RETRY_FILES_ENABLED=0
export ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_INVENTORY_UNPARSED_WARNING=0 ANSIBLE_DISPLAY_SKIPPED_HOSTS=0
install_collection "$ANSIBLE_COLLECTIONS_PATH" "$ansible"

playbook() { ansible-playbook -i "$ROOT/tests/demo/inventory.yml" "$@" </dev/null; }

# One drill at a time in a place; whatever an earlier, killed one has left is removed first.
mkdir -p "$DR_DEMO_DIR"
exec 9> "$DR_DEMO_DIR/lock"
flock -n 9 || { echo "another drill is running in $DR_DEMO_DIR" >&2; exit 1; }

teardown() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$(ls -A "$DR_DEMO_DIR/work" 2>/dev/null)" ]; then
        playbook agnostic.recovery.teardown > "$DR_DEMO_DIR/teardown.log" 2>&1 || { cat "$DR_DEMO_DIR/teardown.log"; status=1; }
        playbook "$ROOT/tests/demo/remove.yml" >> "$DR_DEMO_DIR/teardown.log" 2>&1 || { cat "$DR_DEMO_DIR/teardown.log"; status=1; }
    fi
    exit "$status"
}
trap teardown EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# fresh_demo: an unchanged copy of the source, an empty repository, a new passphrase.
fresh_demo() {
    rm -rf "$DR_DEMO_DIR/source" "$DR_DEMO_DIR/repository" "$DR_DEMO_DIR/passphrase"
    "$ROOT/tests/demo/build" --output "$DR_DEMO_DIR/source" >/dev/null
    (umask 077 && head -c 24 /dev/urandom | base64 > "$DR_DEMO_DIR/passphrase")
}
