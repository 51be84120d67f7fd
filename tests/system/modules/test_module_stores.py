# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in an object store through modules and engine jobs, and that its credentials are seen nowhere."""

import os

import pytest

HOST_PYTHON = "/usr/bin/python3"      # the distribution's, which has boto3 and openstacksdk


@pytest.fixture(name="location", params=["s3", "swift"])
def fixture_location(request, radosgw):
    prefix = request.node.name.replace("[", "-").replace("]", "")
    if request.param == "s3":
        return {"type": "s3", "endpoint_url": radosgw["tls_endpoint"], "ca_bundle": radosgw["ca_bundle"], "prefix": prefix,
                "bucket": f"modules-{os.getpid()}", "access_key": radosgw["access_key"], "secret_key": radosgw["secret_key"],
                "create": True}
    return {"type": "swift", "container": f"modules-{os.getpid()}-swift", "prefix": prefix, "auth_type": "v1", "create": True,
            "auth": {"auth_url": radosgw["swift_auth_url"], "username": radosgw["swift_user"], "password": radosgw["swift_key"]}}


def test_an_object_store(play, location, radosgw, tmp_path):
    secret = radosgw["secret_key"] if location["type"] == "s3" else radosgw["swift_key"]
    content = os.urandom(1 << 20)
    (tmp_path / "disk.raw").write_bytes(content)
    play.variables["repository"] = location
    play.variables["wrong"] = dict(location, **({"secret_key": "hopeless"} if location["type"] == "s3" else {
        "auth": dict(location["auth"], password="hopeless")}))
    copy = str(tmp_path / "copy.raw")
    tasks = {
        "planned": dict(play.task("repository_init"), check_mode=True),
        "made": play.task("repository_init", chunk_size=65536),
        "again": play.task("repository_init"),
        "captured": play.capture(python=HOST_PYTHON),
        "images": play.task("image_info", machine="web1"),
        "verified": play.task("image_verify", level="full", python=HOST_PYTHON),
        "restored": play.restore(copy, python=HOST_PYTHON),
        "refused": play.capture(python=HOST_PYTHON, repository="{{ wrong }}", attach=False),
    }
    for name in ("planned", "made", "again", "images"):
        tasks[name]["vars"] = {"ansible_python_interpreter": HOST_PYTHON}
    text = play.run([dict(task, register=name + "_", ignore_errors=True) for name, task in tasks.items()] + [play.results(*(
        name + "_" for name in tasks))], "-vvv")
    result = {name: play.result()[name + "_"] for name in tasks}
    assert [name for name in tasks if result[name].get("failed")] == ["refused"], text
    assert [name for name in tasks if result[name]["changed"]] == ["planned", "made", "captured", "restored"]
    assert len(result["images"]["images"]) == 1 and not result["verified"]["verified"]["problems"]
    with open(copy, "rb") as file:
        assert file.read() == content
    assert "key" in result["refused"]["msg"] or "password" in result["refused"]["msg"]
    warned = any("no atomic conditional put" in warning for warning in result["captured"].get("warnings", []))
    assert warned == (location["type"] == "swift")
    states = "".join(path.read_text(errors="replace") for path in (tmp_path / "jobs").glob("*/*") if path.is_file())
    for each in (secret, "hopeless"):
        assert each not in text and each not in states
