# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key slots, epochs, keys by command, the capture credential and the recovery kit, in playbooks."""

import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.recovery_key import new_recovery_key, write_recovery_key
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.recovery_kit import Kit, kit_html
from conftest import SECRET

NEW_SECRET = "another horse battery staple"
THIRD_SECRET = "a third horse battery staple"


def run_all(play, tasks, *arguments):
    """Run named tasks, each of which may fail; what they returned."""
    text = play.run([dict(task, register=name + "_", ignore_errors=True) for name, task in tasks.items()]
                    + [{"ansible.builtin.set_fact": {"result": {name: "{{ %s_ }}" % name for name in tasks}}}], *arguments)
    return play.result(), text


def expect(result, name, changed=False, failed=False, words="", labels=None):
    found = result[name]
    assert (bool(found["changed"]), bool(found.get("failed"))) == (changed, failed), (name, found)
    assert words in found.get("msg", ""), (name, found)
    if labels is not None:
        assert sorted(slot["label"] for slot in found["slots"]) == labels, (name, found)
    return found


def test_keys_and_epochs(play, repository, tmp_path):
    play.variables.update(new=NEW_SECRET)
    by_new = {"key_file": None, "passphrase": "{{ new }}"}
    first, second = {"passphrase": "{{ new }}"}, {"passphrase": "{{ passphrase }}"}

    def key(state="present", label="people", **options):
        return play.task("repository_key", label=label, state=state, **options)

    result, _text = run_all(play, {
        "planned": dict(key(new_key=first, kdf="pbkdf2-hmac-sha512"), check_mode=True),
        "not_yet": play.task("repository_info", **by_new),
        "added": key(new_key=first, kdf="pbkdf2-hmac-sha512"),
        "again": key(new_key=first),
        "other_key": key(new_key=second),
        "replaced": key("replaced", new_key=second),
        "replaced_again": key("replaced", new_key=second),
        "gone": play.task("repository_info", **by_new),
        "other_kdf": key("replaced", new_key=second, kdf="pbkdf2-hmac-sha512"),
        "absent_other": key("absent", "nobody"),
        "no_key": key(),
        "two_keys": key(new_key=dict(first, key_file="{{ key }}")),
        "no_wrapping": key(new_key={"key_command": ["cat"]}),
        "planned_absent": dict(key("absent", "default"), check_mode=True),
        "absent": key("absent", "default"),
        "absent_by_what_is_gone": key("absent", "default"),
        "last": key("absent", key_file=None, passphrase="{{ passphrase }}"),
        "last_checked": dict(key("absent", key_file=None, passphrase="{{ passphrase }}"), check_mode=True),
        "epoch_planned": dict(play.task("repository_epoch", number=2, key_file=None, passphrase="{{ passphrase }}"), check_mode=True),
        "epoch": play.task("repository_epoch", number=2, key_file=None, passphrase="{{ passphrase }}"),
        "epoch_again": play.task("repository_epoch", number=2, key_file=None, passphrase="{{ passphrase }}"),
        "epoch_too_far": play.task("repository_epoch", number=4, key_file=None, passphrase="{{ passphrase }}"),
        "info": play.task("repository_info", key_file=None),
        "shown": play.task("repository_credential", key_file=None, passphrase="{{ passphrase }}"),
    })
    expect(result, "planned", changed=True, labels=["default", "people"])
    expect(result, "not_yet", failed=True, words="no key slot for a passphrase")
    added = expect(result, "added", changed=True, labels=["default", "people"])
    assert {slot["type"] for slot in added["slots"]} == {"key-file", "pbkdf2-hmac-sha512"}
    assert all(slot["complete"] for slot in added["slots"])
    expect(result, "again", labels=["default", "people"])
    expect(result, "other_key", failed=True, words="say state=replaced")
    expect(result, "replaced", changed=True, labels=["default", "people"])
    expect(result, "replaced_again", labels=["default", "people"])
    expect(result, "gone", failed=True, words="The passphrase is wrong")
    expect(result, "other_kdf", changed=True)
    expect(result, "absent_other")
    expect(result, "no_key", failed=True, words="new_key")
    expect(result, "two_keys", failed=True, words="mutually exclusive")
    expect(result, "no_wrapping", failed=True, words="required together")
    expect(result, "planned_absent", changed=True, labels=["people"])
    expect(result, "absent", changed=True, labels=["people"])
    expect(result, "absent_by_what_is_gone", failed=True, words="no key slot for a key file")
    for name in ("last", "last_checked"):
        expect(result, name, failed=True, words="This is the last key slot")
    assert expect(result, "epoch_planned", changed=True)["before"] == 1
    assert expect(result, "epoch", changed=True)["before"] == 1
    assert expect(result, "epoch_again")["before"] == 2
    expect(result, "epoch_too_far", failed=True, words="in epoch 2; the next one is 3, not 4")
    assert [slot["label"] for slot in expect(result, "info")["slots"]] == ["people"]
    expect(result, "shown", failed=True, words="say no_log: true")
    assert sorted(os.listdir(str(tmp_path / "repository" / "keys"))) == ["grants", "rings", "slots"]


class Watch:
    """Looks for secrets in the arguments and environment of every process while it is entered."""

    def __init__(self, *secrets):
        self.secrets = [secret.encode() for secret in secrets]
        self.seen = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._done.set()
        self._thread.join()

    def _look(self):
        while not self._done.is_set():
            for number in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    try:
                        with open("/proc/{0}/{1}".format(number, name), "rb") as handle:
                            content = handle.read()
                    except OSError:
                        continue
                    self.seen += [(number, name) for secret in self.secrets if secret in content]
            time.sleep(0.05)


def files_with(folder, secret):
    found = []
    for base, _folders, names in os.walk(str(folder)):
        for name in names:
            with open(os.path.join(base, name), "rb") as handle:
                if secret.encode() in handle.read():
                    found.append(name)
    return sorted(found)


def test_no_secret_of_any_key_is_shown(play, repository, disk, tmp_path, monkeypatch):
    """Not in the most talkative output, a log, a fact cache, the process list, an environment, nor any file but those it came from."""
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN", "jsonfile")
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(tmp_path / "facts"))
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(tmp_path / "log"))
    (tmp_path / "store").write_text(THIRD_SECRET + "\n")
    (tmp_path / "wrap").write_text("#!/bin/sh\nexec tr A-Za-z N-ZA-Mn-za-m\n")
    (tmp_path / "wrap").chmod(0o755)
    play.variables.update(new=NEW_SECRET, store=str(tmp_path / "store"), wrap=str(tmp_path / "wrap"))
    command = {"key_file": None, "key_command": ["{{ wrap }}"]}
    from_store = {"key_file": None, "passphrase_command": ["cat", "{{ store }}"]}
    typed = {"key_file": None, "recovery_key": "{{ lookup('file', folder ~ '/typed') }}"}
    with Watch(SECRET, NEW_SECRET, THIRD_SECRET) as watch:
        text = play.run([
            play.task("repository_key", label="people", new_key={"passphrase": "{{ new }}"}),
            play.task("repository_key", label="people", state="replaced", new_key={"passphrase": "{{ passphrase }}"}),
            play.task("repository_key", label="store", new_key={"passphrase_command": ["cat", "{{ store }}"]}),
            play.task("repository_key", label="service", new_key={"key_command": ["{{ wrap }}"], "wrap_command": ["{{ wrap }}"]}),
            play.task("recovery_kit", output_dir="{{ folder }}", include_key=True),
            {"ansible.builtin.shell": "grep '^    [1-4]: ' recovery-kit.txt > typed", "args": {"chdir": "{{ folder }}"},
             "vars": {"ansible_python_interpreter": sys.executable}},
            play.capture(**command), play.task("image_verify", level="full", **from_store), play.task("image_info", **typed),
            play.restore("{{ folder }}/restored.raw", **typed),
            dict(play.task("repository_credential", "credential", **from_store), no_log=True),
            {"ansible.builtin.set_fact": {"kept": "{{ credential.capture_credential }}", "cacheable": False}, "no_log": True},
            play.capture(machine="web2", key_file=None, capture_credential="{{ kept }}"),
            dict(play.restore("{{ folder }}/no.raw", key_file=None, recovery_key="wrong " + NEW_SECRET[::-1]), ignore_errors=True),
            dict(play.restore("{{ folder }}/no.raw", key_file=None, key_command=["cat"]), ignore_errors=True),
        ], "-vvvv")
    assert not watch.seen
    assert subprocess.run(["cmp", disk, str(tmp_path / "restored.raw")], check=False).returncode == 0
    typed_lines = (tmp_path / "typed").read_text().split("\n")
    secrets = [SECRET, NEW_SECRET, THIRD_SECRET, NEW_SECRET[::-1], "dr-capture-1:"] + [line[7:] for line in typed_lines if line]
    assert len(secrets) == 9
    for secret in secrets:
        assert secret not in text
    (tmp_path / "play.json").unlink()
    assert files_with(tmp_path, SECRET) == files_with(tmp_path, NEW_SECRET) == ["vars.json"]
    assert files_with(tmp_path, THIRD_SECRET) == ["store"]
    assert files_with(tmp_path, "dr-capture-1:") == []
    assert files_with(tmp_path, secrets[-1]) == ["recovery-kit.html", "recovery-kit.txt", "typed"]
    for name in ("recovery-kit.html", "recovery-kit.txt"):
        assert os.stat(str(tmp_path / name)).st_mode & 0o777 == 0o600


def test_roles_leave_no_credential_behind(play, disk, tmp_path):
    """As the playbook `capture` runs them, over a worker."""
    play.hosts["web1"]["ansible_python_interpreter"] = sys.executable
    play.variables.update(dr_worker="web1", dr_repository="{{ repository }}", dr_repository_passphrase="{{ passphrase }}",
                          dr_disks=[{"name": "sda", "path": disk}])
    before = set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))
    become_no = {"ansible_become": False}
    with Watch(SECRET, "dr-capture-1:") as watch:
        text = play.run([{"ansible.builtin.include_role": {"name": "agnostic.recovery." + role}, "vars": become_no}
                         for role in ("repository", "capture")], "-vvvv")
    assert not watch.seen and "captured 64.0 MiB" in text
    assert SECRET not in text and "dr-capture-1:" not in text
    assert files_with(tmp_path, SECRET) == ["vars.json"] and files_with(tmp_path, "dr-capture-1:") == []
    assert not [name for name in (set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))) - before if "capture" in name]


def printed(path):
    """The page's text as a person reads it off the paper, in parts by their numbers."""
    page = re.sub(r"<(style|title)>.*?</\1>", "", open(path, encoding="utf-8").read(), flags=re.S)
    parts = {}
    for number, part in re.findall(r"<h2>(\d)\. .*?</h2>(.*?)(?=<h2>|</body>)", page, flags=re.S):
        lines = re.search(r"<pre>(.*)</pre>", part, flags=re.S)
        parts[int(number)] = html.unescape(lines.group(1)) if lines else ""
    return parts


def test_recovery_from_the_printed_page_alone(play, image, disk, tmp_path):
    """What is typed is taken from the page; all that is left beside it is the repository."""
    kit = play.task("recovery_kit", output_dir="{{ folder }}/safe", include_key=True)
    (tmp_path / "safe").mkdir()
    result, _text = run_all(play, {
        "planned": dict(kit, check_mode=True), "made": kit, "again": kit,
        "no_key": play.task("recovery_kit", output_dir="{{ folder }}"), "slots": play.task("repository_info")})
    assert [result[name]["changed"] for name in ("planned", "made", "again", "no_key")] == [True, True, False, True]
    assert [slot["label"] for slot in result["slots"]["slots"]].count("recovery kit") == 1
    without_key = printed(str(tmp_path / "recovery-kit.html"))
    assert not without_key[2] and "dr_repository_key_file" in without_key[5]

    paper = printed(str(tmp_path / "safe" / "recovery-kit.html"))
    for name in ("key", "safe", "jobs", "ansible", "disk.raw"):
        path = tmp_path / name
        if name == "disk.raw":
            path.rename(tmp_path / "was.raw")
        elif path.is_dir():
            shutil.rmtree(str(path))
        elif path.exists():
            path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "key.txt").write_text(paper[2].lower().replace("0", "o"))
    (elsewhere / "inventory.yml").write_text(paper[5])
    assert paper[4].split("\n")[-1] == "ansible-galaxy collection install agnostic.recovery"
    status, restore, drill = [shlex.split(line) for line in paper[6].split("\n")]
    assert drill[3] == "agnostic.recovery.drill"
    environment = dict(play.environment(), ANSIBLE_HOME=str(elsewhere / "ansible"))
    restore[-1] = "dr_restore_dir=" + str(elsewhere / "restored")

    def typed(command):
        assert command[0] == "ansible-playbook"
        done = subprocess.run([play.command] + command[1:], cwd=str(elsewhere), env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
        return done.returncode, done.stdout.decode()

    code, text = typed(status)
    assert code == 0 and "1 images, newest " in text, text
    code, text = typed(restore)
    assert code == 0, text
    assert subprocess.run(["cmp", str(tmp_path / "was.raw"), str(elsewhere / "restored" / "web1-sda.raw")], check=False).returncode == 0

    wrong = paper[2].split("\n")
    wrong[2] = wrong[2][:3] + ("2" if wrong[2][3] != "2" else "3") + wrong[2][4:]
    (elsewhere / "key.txt").write_text("\n".join(wrong))
    code, text = typed(status)
    assert code and "typing error in line 3 of the recovery key" in text and image["id"].split("/")[0] in text
    assert wrong[0][3:] not in text


def test_the_longest_page_is_one_sheet_of_a4(tmp_path):
    if not shutil.which("weasyprint") or not shutil.which("pdfinfo"):
        pytest.skip("needs weasyprint and pdfinfo (poppler-utils)")
    kit = Kit(
        id="0f7cba1d2a9c4f9db3d6ad52aac3f1d0", format_version=1, created="2026-11-25T11:00:00Z", epoch=12, fingerprint="abcd " * 8,
        location={"type": "s3", "bucket": "recovery-of-a-company-with-a-long-name", "endpoint": "https://objects.example.org:8443",
                  "region": "somewhere-1", "prefix": "recovery/production"}, withheld=("access_key", "secret_key"),
        slots=tuple(("label {0} that somebody chose".format(number), kind) for number, kind in enumerate(["scrypt", "key-file", "command"] * 5)),
        machines=tuple("machine-{0:03d}.example.org".format(number) for number in range(100)), label="recovery kit <b>&",
        key=tuple(write_recovery_key(new_recovery_key())))
    (tmp_path / "kit.html").write_text(kit_html(kit), encoding="utf-8")
    subprocess.run(["weasyprint", str(tmp_path / "kit.html"), str(tmp_path / "kit.pdf")], check=True, stderr=subprocess.DEVNULL)
    told = subprocess.run(["pdfinfo", str(tmp_path / "kit.pdf")], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert re.search(r"^Pages: +1$", told, re.M) and "A4" in told
    read = subprocess.run(["pdftotext", "-layout", str(tmp_path / "kit.pdf"), "-"], check=True, stdout=subprocess.PIPE).stdout.decode()
    lines = re.findall(r"^ *([1-4]: [0-9A-Z ]{24})$", read, re.M)
    assert lines == ["{0}: {1}".format(number, line) for number, line in enumerate(kit.key, 1)]
    assert 'key slot "recovery kit <b>&"' in read and "76 machines more" in read


def test_a_kit_whose_key_is_nowhere_else_is_not_made_up(play, repository, tmp_path):
    kit = play.task("recovery_kit", output_dir="{{ folder }}", include_key=True)
    play.run([kit])
    (tmp_path / "recovery-kit.txt").unlink()
    second = play.task("recovery_kit", output_dir="{{ folder }}", include_key=True, label="second kit")
    result, _text = run_all(play, {"lost": kit, "other_label": second})
    assert result["lost"]["failed"] and "which is nowhere else" in result["lost"]["msg"]
    assert result["other_label"]["changed"]


COMMANDS = {
    "gpg": (["gpg", "--batch", "--quiet", "--encrypt", "--armor", "--trust-model", "always", "--recipient", "recovery@example.org"],
            ["gpg", "--batch", "--quiet", "--decrypt"]),
    "age": (["age", "--encrypt", "--recipients-file", "{folder}/age.pub"], ["age", "--decrypt", "--identity", "{folder}/age.key"]),
    "openssl": (["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", "{folder}/rsa.pub", "-pkeyopt", "rsa_padding_mode:oaep"],
                ["openssl", "pkeyutl", "-decrypt", "-inkey", "{folder}/rsa.key", "-pkeyopt", "rsa_padding_mode:oaep"]),
}


def make_keys(name, folder, environment):
    def run(*command, **more):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    if name == "gpg":
        run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "recovery@example.org", "default", "default")
    elif name == "age":
        run("age-keygen", "-o", folder + "/age.key")
        with open(folder + "/age.pub", "wb") as handle:
            handle.write(subprocess.run(["age-keygen", "-y", folder + "/age.key"], check=True, stdout=subprocess.PIPE).stdout)
    else:
        run("openssl", "genrsa", "-out", folder + "/rsa.key", "2048")
        run("openssl", "rsa", "-in", folder + "/rsa.key", "-pubout", "-out", folder + "/rsa.pub")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_real_programs_that_wrap(play, image, disk, tmp_path, monkeypatch, name):
    if not shutil.which(name):
        pytest.skip("no {0} on this machine".format(name))
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    make_keys(name, str(tmp_path), play.environment())
    wrap, unwrap = [[word.format(folder=tmp_path) for word in command] for command in COMMANDS[name]]
    try:
        play.run([
            play.task("repository_key", label=name, new_key={"wrap_command": wrap, "key_command": unwrap}),
            play.task("repository_key", label="default", state="absent", key_file=None, key_command=unwrap),
            play.task("repository_epoch", number=2, key_file=None, key_command=unwrap),
            play.capture(key_file=None, key_command=unwrap),
            play.restore("{{ folder }}/restored.raw", key_file=None, key_command=unwrap)])
    finally:
        if name == "gpg":
            subprocess.run(["gpgconf", "--kill", "all"], env=play.environment(), check=False)
    assert subprocess.run(["cmp", disk, str(tmp_path / "restored.raw")], check=False).returncode == 0
    (slot,) = (tmp_path / "repository" / "keys" / "slots").iterdir()
    assert json.loads(slot.read_text())["type"] == "command"
