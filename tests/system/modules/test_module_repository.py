# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""repository_init, repository_info and image_info in a playbook."""

import os


def test_repositories(play, tmp_path):
    """One play, because it is the start of ansible-playbook that takes time."""
    credential = str(tmp_path / "credential")
    play.variables["open"] = {"path": str(tmp_path / "open")}
    play.variables["full"] = {"path": str(tmp_path / "full")}
    another = str(tmp_path / "another-key")
    (tmp_path / "another-key").write_bytes(os.urandom(32))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("mine")
    tasks = {
        "planned": dict(play.task("repository_init"), check_mode=True),
        "absent": play.task("repository_info"),
        "made": play.task("repository_init", chunk_size=65536),
        "again": play.task("repository_init", unencrypted=False),
        "credential_planned": dict(play.task("repository_init", capture_credential_file=credential), check_mode=True),
        "credential": play.task("repository_init", capture_credential_file=credential),
        "credential_again": play.task("repository_init", capture_credential_file=credential),
        "wrong": play.task("repository_init", key_file=another),
        "wrong_checked": dict(play.task("repository_init", key_file=another), check_mode=True),
        "other_chunks": play.task("repository_init", chunk_size=131072),
        "not_open": play.task("repository_init", key_file=None, unencrypted=True),
        "nothing_said": play.task("repository_init", key_file=None),
        "contradiction": play.task("repository_init", unencrypted=True),
        "open": play.task("repository_init", key_file=None, unencrypted=True, repository="{{ open }}"),
        "open_again": play.task("repository_init", key_file=None, unencrypted=True, repository="{{ open }}"),
        "open_with_key": play.task("repository_init", repository="{{ open }}"),
        "full": play.task("repository_init", repository="{{ full }}"),
        "full_checked": dict(play.task("repository_init", repository="{{ full }}"), check_mode=True),
        "read": play.task("repository_info"),
        "capture": play.task("repository_info", key_file=None, capture_credential="{{ lookup('file', '%s') }}" % credential),
        "no_key": play.task("repository_info", key_file=None),
        "info_open": play.task("repository_info", key_file=None, repository="{{ open }}"),
        "no_images": play.task("image_info"),
        "image_of_nobody": play.task("image_info", image="latest"),
        "no_image": play.task("image_info", image="latest", machine="web1"),
    }
    play.run([dict(task, register=name + "_", ignore_errors=True) for name, task in tasks.items()]
             + [{"ansible.builtin.set_fact": {"result": {name: "{{ %s_ }}" % name for name in tasks}}}])
    result = play.result()

    def expect(name, changed=False, failed=False, words="", error=""):
        found = result[name]
        assert (bool(found["changed"]), bool(found.get("failed"))) == (changed, failed), (name, found)
        assert words in found.get("msg", ""), (name, found)
        assert found.get("error_type", "") == error, (name, found)
        return found

    assert expect("planned", changed=True)["repository"]["id"] == ""
    expect("absent", failed=True, words="cannot be opened", error="RepositoryError")
    made = expect("made", changed=True)["repository"]
    assert made["encrypted"] and made["chunk_size"] == 65536 and len(made["id"]) == 32
    assert expect("again")["repository"] == made
    expect("credential_planned", changed=True)
    expect("credential", changed=True)
    expect("credential_again")
    expect("wrong", failed=True, words="key file", error="KeyAccessError")
    expect("wrong_checked", failed=True, words="key file", error="KeyAccessError")
    expect("other_chunks", failed=True, words="cannot be changed", error="RepositoryError")
    expect("not_open", failed=True, words="is encrypted", error="KeyAccessError")
    expect("nothing_said", failed=True, words="Give a passphrase, a key file or another key, or say", error="KeyAccessError")
    expect("contradiction", failed=True, words="leave them out", error="KeyAccessError")
    assert not expect("open", changed=True)["repository"]["encrypted"]
    expect("open_again")
    expect("open_with_key", failed=True, words="not encrypted", error="KeyAccessError")
    for name in ("full", "full_checked"):
        expect(name, failed=True, words="holds other files (letter)", error="RepositoryError")
    assert expect("read")["access"] == "read"
    assert expect("capture")["access"] == "capture"
    assert expect("no_key")["access"] == "none"
    assert expect("info_open")["access"] == "read"
    assert expect("no_images")["images"] == []
    expect("image_of_nobody", failed=True, words="machine")
    expect("no_image", failed=True, words="no image", error="RepositoryError")
    assert os.stat(credential).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(str(tmp_path / "full"))) == ["letter"]


def test_a_key_file_is_made_with_the_repository(play, tmp_path):
    play.run([dict(play.task("repository_init", "planned"), check_mode=True), play.task("repository_init", "made"),
              play.task("repository_init", "again"), play.results("planned", "made", "again")])
    result = play.result()
    assert [result[name]["changed"] for name in ("planned", "made", "again")] == [True, True, False]
    status = os.stat(str(tmp_path / "key"))
    assert (status.st_size, status.st_mode & 0o777) == (32, 0o600)


def test_images_are_listed(play, repository, disk):
    play.run([
        play.capture(register="first", facts={"hostname": "web1.example", "disks": "not for the caller to say"}),
        play.capture(register="second"), play.capture(register="other", machine="db1"),
        play.task("image_info", "all"), play.task("image_info", "latest", latest=True), play.task("image_info", "mine", machine="web1"),
        play.task("image_info", "one", machine="web1", image="{{ first.image.id }}", machine_model=True),
        play.task("image_info", "named", machine="web1", image="latest"),
        play.task("image_info", "then", machine="web1", image="2999-01-01T00:00:00Z"),
        dict(play.task("image_info", "before", machine="web1", image="1999-01-01T00:00:00Z"), ignore_errors=True),
        play.results("first", "second", "other", "all", "latest", "mine", "one", "named", "then", "before")])
    result = play.result()
    ids = {name: result[name]["image"]["id"] for name in ("first", "second", "other")}
    listed = {name: [image["id"] for image in result[name]["images"]] for name in ("all", "latest", "mine", "one", "named", "then")}
    assert listed["all"] == [ids["other"], ids["first"], ids["second"]]
    assert listed["latest"] == [ids["other"], ids["second"]]
    assert listed["mine"] == [ids["first"], ids["second"]]
    assert listed["one"] == [ids["first"]]
    assert listed["named"] == listed["then"] == [ids["second"]]
    assert result["before"]["failed"] and "1999" in result["before"]["msg"]
    model = result["one"]["images"][0]["machine_model"]
    assert model["hostname"] == "web1.example" and model["name"] == "web1"
    assert [found["name"] for found in model["disks"]] == ["sda"]
