"""The simulated Google Cloud of the testbed: it rents, runs, stores, and fails as Google's does."""

from __future__ import annotations

import functools
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testbed

storage = pytest.importorskip("google.cloud.storage")
api_exceptions = pytest.importorskip("google.api_core.exceptions")
discovery = pytest.importorskip("googleapiclient.discovery")
api_errors = pytest.importorskip("googleapiclient.errors")

pytestmark = pytest.mark.cloud

PROJECT, ZONE, OTHER_ZONE = testbed.GCP_PROJECT, "us-central1-a", "us-central1-b"
DEBIAN = "projects/debian-cloud/global/images/family/debian-12"
ALL = "https://www.googleapis.com/auth/cloud-platform"
METADATA = """
metadata=http://metadata.google.internal/computeMetadata/v1
told() { local path=$1; shift; curl -sf -H 'Metadata-Flavor: Google' "$@" "$metadata/$path"; }
name=$(told instance/name)
zone=$(told instance/zone); zone=${zone##*/}
token() {
  told instance/service-accounts/default/token |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
}
compute=https://compute.googleapis.com/compute/v1
delete_me() {
  curl -s -o /dev/null -w 'delete: %{http_code}\\n' -X DELETE -H "Authorization: Bearer $(token)" \\
    "$compute/projects/$(told project/project-id)/zones/$zone/instances/$name"
}
"""


@pytest.fixture(autouse=True)
def _running() -> None:
    if reason := testbed.available("gcp"):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in testbed.gcp_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket() -> Iterator[Any]:
    made = storage.Client().create_bucket(f"testbed-{uuid.uuid4().hex[:12]}")
    yield made
    made.delete(force=True)


@pytest.fixture
def run(bucket: Any) -> Iterator[Callable[..., str]]:
    """Run an instance with a script, in which the bucket is named; it is deleted afterwards."""
    started: list[tuple[str, str]] = []

    def start(script: str, *, zone: str = ZONE, stop: str = "", **more: Any) -> str:
        body = {**request(script, bucket.name, zone, stop), **more}
        started.append((zone, body["name"]))
        told = instances().insert(project=PROJECT, zone=zone, body=body).execute()
        done = settled(told)
        assert "error" not in done, done["error"]
        return str(body["name"])

    yield start
    for zone, name in started:
        delete(name, zone)
    for zone, name in started:
        wait_for(lambda name=name, zone=zone: state(name, zone) == "gone")
    testbed.gcp_control("DELETE", f"next?script={bucket.name}")


def compute() -> Any:
    return api("compute")


# What Google says of compute is 5 MB long.
@functools.cache
def api(name: str) -> Any:
    endpoint = os.environ[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}"]
    return discovery.build(
        name,
        "v1",
        cache_discovery=False,
        static_discovery=True,
        client_options={"api_endpoint": endpoint},
    )


def instances() -> Any:
    return compute().instances()


def request(script: str, bucket: str, zone: str = ZONE, stop: str = "") -> dict[str, Any]:
    texts = {
        "startup-script": f"#!/bin/bash\nbucket={bucket}\n{METADATA}{script}",
        "shutdown-script": f"#!/bin/bash\n{stop}",
        "launchkit-pack": "7",
    }
    return {
        "name": f"testbed-{uuid.uuid4().hex[:12]}",
        "machineType": f"zones/{zone}/machineTypes/e2-standard-2",
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {"sourceImage": DEBIAN, "diskSizeGb": "20"},
            }
        ],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "serviceAccounts": [{"email": testbed.GCP_ACCOUNT, "scopes": [ALL]}],
        "metadata": {"items": [{"key": key, "value": text} for key, text in texts.items()]},
    }


def spot(end: str = "DELETE") -> dict[str, Any]:
    return {"provisioningModel": "SPOT", "instanceTerminationAction": end}


def settled(operation: dict[str, Any]) -> dict[str, Any]:
    zone = operation["zone"].rpartition("/")[2]
    done: dict[str, Any] = (
        compute()
        .zoneOperations()
        .wait(project=PROJECT, zone=zone, operation=operation["name"])
        .execute()
    )
    assert done["status"] == "DONE"
    return done


def delete(name: str, zone: str = ZONE) -> None:
    try:
        instances().delete(project=PROJECT, zone=zone, instance=name).execute()
    except api_errors.HttpError as error:
        assert error.status_code == 404


def described(name: str, zone: str = ZONE) -> dict[str, Any]:
    told: dict[str, Any] = instances().get(project=PROJECT, zone=zone, instance=name).execute()
    return told


def state(name: str, zone: str = ZONE) -> str:
    try:
        return str(described(name, zone)["status"])
    except api_errors.HttpError as error:
        assert error.status_code == 404
        return "gone"


def machine(name: str) -> dict[str, Any]:
    told: dict[str, Any] = testbed.gcp_control("GET", f"machines/{name}")
    return told


def wait_for(done: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found


def wait_for_word(name: str, word: str) -> str:
    wait_for(lambda: word in machine(name)["log"])
    return str(machine(name)["log"])


def operations(name: str) -> list[str]:
    """Return what has been done to an instance, as Google calls it."""
    listed = compute().globalOperations().aggregatedList(
        project=PROJECT, filter=f'targetLink eq ".*/instances/{name}"'
    ).execute()  # fmt: skip
    found = [each for some in listed["items"].values() for each in some.get("operations", ())]
    return [each["operationType"] for each in sorted(found, key=lambda each: each["insertTime"])]


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(api_errors.HttpError) as caught:
        call()
    return caught.value.status_code, str(caught.value)


# Machines


def test_a_machine_runs_its_script_with_its_account_and_deletes_itself(run, bucket):
    name = run(
        """
        mkdir /root/up; echo "from $name" >/root/up/word; echo 2 >'/root/up/ö b'
        gsutil -q -m cp -r /root/up "gs://$bucket/there" && delete_me; sleep 1000
        """
    )
    wait_for(lambda: state(name) == "gone", 40)
    assert sorted(blob.name for blob in bucket.list_blobs()) == ["there/word", "there/ö b"]
    assert bucket.blob("there/word").download_as_bytes() == f"from {name}\n".encode()
    assert "delete: 200" in machine(name)["log"]
    assert operations(name) == ["insert", "delete"]


def test_a_machine_that_shuts_itself_down_is_stopped_and_still_there(run):
    name = run("poweroff; sleep 1000", stop="echo last words")
    wait_for(lambda: state(name) == "TERMINATED")
    assert operations(name) == ["insert", "compute.instances.guestTerminate"]
    told = instances().getSerialPortOutput(project=PROJECT, zone=ZONE, instance=name).execute()
    assert told["contents"].endswith("last words\n")
    delete(name)
    wait_for(lambda: state(name) == "gone")


def test_metadata_is_told_with_its_header_only(run):
    name = run(
        """
        base=http://169.254.169.254/computeMetadata/v1
        curl -s -o /dev/null -w 'without: %{http_code}\\n' $base/instance/name
        curl -s -o /dev/null -w 'nothing: %{http_code}\\n' -H 'Metadata-Flavor: Google' $base/no
        echo "$name in $zone: $(told instance/attributes/launchkit-pack) $(told instance/preempted)"
        told instance/service-accounts/default/email; echo
        told 'instance/?recursive=true' >/tmp/all; grep -c "ya29[.]" /tmp/all
        python3 -c 'import json; print(json.load(open("/tmp/all"))["attributes"]["launchkit-pack"])'
        echo done
        """
    )
    lines = wait_for_word(name, "done").splitlines()
    assert lines == [
        "without: 403",
        "nothing: 404",
        f"{name} in {ZONE}: 7 FALSE",
        testbed.GCP_ACCOUNT,
        "0",
        "7",
        "done",
    ]


def test_of_two_machines_each_is_alone(run):
    script = "touch /etc/mine-$name; sleep 0.5; ls -d /etc/mine-*; ps ax; echo done; sleep 1000"
    first, second = run(script), run(script)
    for mine, other in ((first, second), (second, first)):
        log = wait_for_word(mine, "done")
        assert f"/etc/mine-{mine}" in log
        assert other not in log
        assert not Path(f"/etc/mine-{mine}").exists()
        assert Path(f"/var/lib/launchkit/{mine}").exists()
    delete(first)
    wait_for(lambda: state(first) == "gone")
    assert state(second) == "RUNNING"
    assert not Path(f"/var/lib/launchkit/{first}").exists()


@pytest.mark.parametrize(("end", "after"), [("DELETE", "gone"), ("STOP", "TERMINATED")])
def test_a_spot_machine_is_told_before_it_is_taken(run, end, after):
    name = run(
        """
        told 'instance/preempted?wait_for_change=true&last_etag=0' -D /tmp/said && echo
        etag=$(tr -d '\r' </tmp/said | sed -n 's/^etag: //Ip')
        told "instance/preempted?wait_for_change=true&last_etag=$etag"; echo
        echo noticed; sleep 1000
        """,
        stop="until grep -q ^noticed /var/log/word 2>/dev/null; do sleep 1; done",
        scheduling=spot(end),
    )
    wait_for_word(name, "FALSE")
    asked = time.monotonic()
    testbed.gcp_control("POST", f"machines/{name}/preempt", {"seconds": 2})
    assert "TRUE\nnoticed" in wait_for_word(name, "noticed")
    assert state(name) == "STOPPING"
    wait_for(lambda: state(name) == after)
    assert time.monotonic() - asked >= 2
    assert operations(name) == ["insert", "compute.instances.preempted"]


def test_a_machine_that_dies_says_nothing(run):
    name = run("trap 'echo warned' TERM; echo up; while :; do sleep 0.1; done", stop="echo warned")
    wait_for_word(name, "up")
    testbed.gcp_control("POST", f"machines/{name}/die")
    wait_for(lambda: state(name) == "TERMINATED")
    assert "warned" not in machine(name)["log"]
    assert operations(name) == ["insert", "compute.instances.hostError"]


def test_a_machine_that_is_cut_off_goes_on(run):
    name = run(
        """
        while :; do
          curl -s -o /dev/null -m 1 "$compute" && echo reached || echo alone
          sleep 0.1
        done
        """
    )
    wait_for_word(name, "reached")
    testbed.gcp_control("POST", f"machines/{name}/hang")
    wait_for_word(name, "alone")
    assert state(name) == "RUNNING"
    testbed.gcp_control("POST", f"machines/{name}/mend")
    wait_for(lambda: machine(name)["log"].endswith("reached\n"))


def test_a_machine_does_not_live_longer_than_it_may(run, bucket):
    testbed.gcp_control("POST", "next", {"script": bucket.name, "life_factor": 0.02})
    life = {"maxRunDuration": {"seconds": "100"}, "instanceTerminationAction": "DELETE"}
    began = time.monotonic()
    name = run("sleep 1000", scheduling=life)
    wait_for(lambda: state(name) == "gone")
    assert time.monotonic() - began >= 2
    assert operations(name) == ["insert", "delete"]


def test_what_a_machine_lacks_can_be_chosen(run, bucket):
    testbed.gcp_control("POST", "next", {"script": bucket.name, "hide": ["gsutil", "gcloud"]})
    name = run("command -v gsutil gcloud || echo neither; echo done")
    assert "neither" in wait_for_word(name, "done")


# Renting


def test_the_same_request_buys_once(run, bucket):
    body, number = request("sleep 1000", bucket.name), str(uuid.uuid4())
    insert = instances().insert(project=PROJECT, zone=ZONE, body=body, requestId=number)
    first = insert.execute()
    try:
        assert insert.execute()["name"] == first["name"]
        status, words = refusal(instances().insert(project=PROJECT, zone=ZONE, body=body).execute)
        assert (status, "already exists" in words) == (409, True)
        settled(first)
        assert operations(body["name"]) == ["insert"]
    finally:
        delete(body["name"])


def test_an_answer_that_is_lost_has_bought_all_the_same(bucket):
    body, number = request("sleep 1000", bucket.name), str(uuid.uuid4())
    insert = instances().insert(project=PROJECT, zone=ZONE, body=body, requestId=number)
    fault = {"kind": "lose", "path": number, "count": 1}
    told = testbed.gcp_control("POST", "faults", fault)
    try:
        with pytest.raises(OSError):
            insert.execute()
        assert settled(insert.execute())["targetLink"].endswith(body["name"])
        assert operations(body["name"]) == ["insert"]
    finally:
        testbed.gcp_control("DELETE", f"faults/{told['id']}")
        delete(body["name"])


def test_a_zone_may_have_no_more(run, bucket):
    shortage = {"zones": {ZONE: 1}, "script": bucket.name}
    testbed.gcp_control("POST", "capacity", shortage)
    try:
        run("sleep 1000")
        body = request("sleep 1000", bucket.name)
        done = settled(instances().insert(project=PROJECT, zone=ZONE, body=body).execute())
        (error,) = done["error"]["errors"]
        assert error["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
        assert state(body["name"]) == "gone"
        assert state(run("sleep 1000", zone=OTHER_ZONE), OTHER_ZONE) == "RUNNING"
    finally:
        testbed.gcp_control("DELETE", "capacity")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_quota_counts_what_there_is(bucket, at_once):
    shortage = {"quotas": {"us-central1": {"CPUS": 1}}, "script": bucket.name}
    testbed.gcp_control("POST", "capacity", {**shortage, "quota_answers": at_once})
    body = request("sleep 1000", bucket.name)
    insert = instances().insert(project=PROJECT, zone=ZONE, body=body)
    try:
        if at_once:
            status, words = refusal(insert.execute)
            assert (status, "Quota 'CPUS' exceeded" in words) == (403, True)
        else:
            (error,) = settled(insert.execute())["error"]["errors"]
            assert error["code"] == "QUOTA_EXCEEDED"
    finally:
        testbed.gcp_control("DELETE", "capacity")
    region = compute().regions().get(project=PROJECT, region="us-central1").execute()
    assert {"metric": "CPUS", "limit": 72.0} in [
        {key: quota[key] for key in ("metric", "limit")} for quota in region["quotas"]
    ]


WRONG: dict[str, dict[str, Any]] = {
    "Unknown name \"colour\" at 'resource'": {"colour": "red"},
    "Unknown name \"ram\" at 'resource.disks[0]'": {"disks": [{"boot": True, "ram": 1}]},
    "resource.labels.a": {"labels": {"a": 1}},
    "Label value": {"labels": {"a": "Not so"}},
    "resource.metadata.items[0].value": {"metadata": {"items": [{"key": "a", "value": 7}]}},
    "resource.scheduling.maxRunDuration.seconds": {
        "scheduling": {"maxRunDuration": {"seconds": 600}}
    },
    "instanceTerminationAction must be set": {"scheduling": {"maxRunDuration": {"seconds": "600"}}},
    "one of FLEX_START": {"scheduling": {"provisioningModel": "CHEAP"}},
    "automaticRestart be false": {"scheduling": {**spot(), "automaticRestart": True}},
    "does not exist in zone": {"machineType": f"zones/{ZONE}/machineTypes/e2-huge"},
    "features are not compatible": {
        "guestAccelerators": [
            {
                "acceleratorType": f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4",
                "acceleratorCount": 1,
            }
        ],
        "scheduling": {"onHostMaintenance": "TERMINATE"},
    },
    "Boot disk": {"disks": []},
    "image resource cannot be found": {
        "disks": [{"boot": True, "initializeParams": {"sourceImage": DEBIAN.replace("12", "4")}}]
    },
    "'serviceAccount' was not found": {"serviceAccounts": [{"email": "nobody@example.com"}]},
    "resource.name": {"name": "Not-a-name"},
}


@pytest.mark.parametrize(("words", "change"), WRONG.items(), ids=WRONG)
def test_what_google_refuses_is_refused(bucket, words, change):
    body = {**request("true", bucket.name), **change}
    insert = instances().insert(project=PROJECT, zone=ZONE, body=body)
    status, message = refusal(insert.execute)
    assert status == 400
    assert words in message.replace('\\"', '"')


def test_lists_are_filtered_and_come_in_pages(run, bucket):
    label = bucket.name
    testbed.gcp_control("POST", "next", {"script": bucket.name, "boot": False})
    names = {run("true", labels={"t": label, "n": str(i)}) for i in range(3)}
    run("true", labels={"t": "another"})
    listed = instances().aggregatedList(
        project=PROJECT,
        filter=f'(labels.t = "{label}") AND (labels.n != "1")',
        fields="items/*/instances(name,labels/n),items/*/warning/code,nextPageToken",
        maxResults=1,
    )
    found = []
    while listed is not None:
        answer = listed.execute()
        found += [each for some in answer["items"].values() for each in some.get("instances", ())]
        listed = instances().aggregatedList_next(listed, answer)
    assert [sorted(each) for each in found] == [["labels", "name"]] * 2
    assert {each["name"] for each in found} < names
    assert refusal(
        instances().list(project=PROJECT, zone=ZONE, filter="colour = red").execute
    )[0] == 400  # fmt: skip


# Who may do what


def test_a_machine_may_do_what_its_role_says_and_no_more(run, bucket):
    project = f"projects/{PROJECT}"
    mark = uuid.uuid4().hex[:8]
    iam = api("iam")
    account = (
        iam.projects()
        .serviceAccounts()
        .create(name=project, body={"accountId": f"little-{mark}"})
        .execute()["email"]
    )
    role = (
        iam.projects()
        .roles()
        .create(
            parent=project,
            body={
                "roleId": f"little.{mark}",
                "role": {
                    "title": "Little",
                    "includedPermissions": [
                        f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")
                    ],
                },
            },
        )
        .execute()["name"]
    )
    below = f"projects/_/buckets/{bucket.name}/objects/mine/"
    listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.version = 3
    policy.bindings.append(
        {
            "role": role,
            "members": {f"serviceAccount:{account}"},
            "condition": {
                "title": "below mine/",
                "expression": f'resource.name.startsWith("{below}") || '
                f'{listed}.startsWith("mine/")',
            },
        }
    )
    bucket.set_iam_policy(policy)
    bucket.blob("theirs").upload_from_string("secret")
    name = run(
        """
        echo 1 >/root/a
        for at in mine/deep/a elsewhere; do
          gsutil -q cp /root/a "gs://$bucket/$at" 2>/tmp/out && echo "put $at: yes" ||
            echo "put $at: no, $(grep -c '403' /tmp/out)"
        done
        gsutil -q cp /root/a "gs://$bucket/mine/deep/a" && echo "again: yes"
        gsutil cat "gs://$bucket/theirs" 2>/dev/null || echo "get theirs: no"
        gsutil ls "gs://$bucket/mine/deep/" && echo "list mine: yes"
        gsutil ls "gs://$bucket/" 2>/dev/null || echo "list: no"
        delete_me
        echo done
        """,
        serviceAccounts=[{"email": account, "scopes": [ALL]}],
    )
    wait_for(lambda: "done" in machine(name)["log"], 60)
    log = machine(name)["log"]
    for line in (
        "put mine/deep/a: yes",
        "put elsewhere: no, 1",
        "again: yes",
        "get theirs: no",
        "list mine: yes",
        "list: no",
        "delete: 403",
    ):
        assert line in log.splitlines()
    assert "secret" not in log


def test_a_machine_without_the_scope_may_nothing(run):
    scopes = ["https://www.googleapis.com/auth/logging.write"]
    name = run(
        """
        curl -s -o /dev/null -w 'with: %{http_code}\\n' -H "Authorization: Bearer $(token)" \\
          "https://storage.googleapis.com/storage/v1/b/$bucket/o"
        curl -s -o /dev/null -w 'without: %{http_code}\\n' \\
          "https://storage.googleapis.com/storage/v1/b/$bucket/o"
        echo done
        """,
        serviceAccounts=[{"email": testbed.GCP_ACCOUNT, "scopes": scopes}],
    )
    log = wait_for_word(name, "done").splitlines()
    assert log == ["with: 403", "without: 401", "done"]


# Faults, and counting


@pytest.mark.parametrize("kind", ["unavailable", "reset", "lose", "truncate"])
def test_a_fault_befalls_as_many_requests_as_it_is_told(bucket, kind):
    bucket.blob("a").upload_from_string(b"x" * 1000)
    mark = testbed.gcp_control("GET", "requests")["mark"]
    path = f"/b/{bucket.name}/o/a.*alt=media"
    fault = {"kind": kind, "path": path, "count": 2}
    told = testbed.gcp_control("POST", "faults", fault)
    try:
        assert bucket.blob("a").download_as_bytes() == b"x" * 1000
        (mine,) = [
            each for each in testbed.gcp_control("GET", "faults") if each["id"] == told["id"]
        ]
        assert mine["happened"] == 2
        counted = testbed.gcp_control("GET", f"requests?since={mark}&path=/b/{bucket.name}/o/a")
        assert counted["counts"].get("storage.objects.get", 0) == (1 if kind in UNDONE else 3)
        assert len(counted["requests"]) == 3
        assert counted["bytes_out"] >= 1000
    finally:
        testbed.gcp_control("DELETE", f"faults/{told['id']}")


UNDONE = ("unavailable", "reset")


def test_a_fault_can_be_one_machines(run, bucket):
    name = run(
        """
        until curl -s -o /dev/null "$compute"; do sleep 0.1; done; echo up
        while curl -s -o /dev/null "$compute"; do sleep 0.1; done; echo reset
        """
    )
    wait_for_word(name, "up")
    told = testbed.gcp_control("POST", "faults", {"kind": "reset", "machine": name})
    try:
        wait_for_word(name, "reset")
        assert bucket.exists()
    finally:
        testbed.gcp_control("DELETE", f"faults/{told['id']}")


def test_tokens_expire(run, bucket):
    name = run(
        """
        ask() { curl -s -o /dev/null -w '%{http_code}\\n' -H "Authorization: Bearer $1" \\
          "https://storage.googleapis.com/storage/v1/b/$bucket/o"; }
        first=$(token); echo "first: $(ask "$first")"
        until [ "$(ask "$first")" = 401 ]; do sleep 0.1; done
        echo "new: $(ask "$(token)")"
        """
    )
    wait_for_word(name, "first: 200")
    testbed.gcp_control("POST", "tokens")
    wait_for_word(name, "new: 200")


def test_what_the_testbed_does_not_know_it_says(bucket):
    with pytest.raises(ValueError, match="unexpected keyword argument 'colour'"):
        testbed.gcp_control("POST", "faults", {"colour": "red"})
    with pytest.raises(ValueError, match="no GET /_testbed/weather"):
        testbed.gcp_control("GET", "weather")
    status, words = refusal(compute().firewalls().list(project=PROJECT).execute)
    assert (status, "does not play compute.firewalls.list" in words) == (501, True)
