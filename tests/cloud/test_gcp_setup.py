"""``launchkit gcp setup``: shown, made, made again, and no more than is needed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gce_here
import pytest
from gce_here import BUCKET, PROJECT, SWEEP, GoogleHere, gce, order
from gcp_accounts import OWNER
from gcp_web import Answer, Request, bad_request

from launchkit import cli
from launchkit.cloud.gcp_policies import Names
from launchkit.cloud.gcp_setup import GcpSetup
from launchkit.cloud.setup_steps import Found, apply

ACCOUNT = f"launchkit@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{ACCOUNT}"
NAMES = Names(PROJECT, BUCKET)
COMMAND = ("gcp", "setup", "--project", PROJECT, "--bucket", BUCKET)
READS = ("GET", "getIamPolicy", "/token")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Path]]:
    directory = tmp_path_factory.mktemp("google")
    with gce_here.google_server(directory) as (here, server):
        yield here, server, directory


@pytest.fixture
def google(server: tuple[Any, Any, Path], monkeypatch: pytest.MonkeyPatch) -> GoogleHere:
    here, running, directory = server
    here.reset()
    here.accounts.accounts.pop(ACCOUNT)
    gce_here.use(monkeypatch, running, directory)
    return here


def setup() -> GcpSetup:
    return GcpSetup(NAMES, patience_s=3.0)


def found() -> list[Found]:
    return [step.look() for step in setup().steps()]


def bindings(google: GoogleHere) -> list[Any]:
    return [each for each in google.accounts.policy["bindings"] if MEMBER in each["members"]]


def changes(google: GoogleHere) -> list[str]:
    asked = google.site.log.since(0)["requests"]
    return [
        each["target"]
        for each in asked
        if each["method"] != "GET" and not any(word in each["target"] for word in READS)
    ]


def test_showing_changes_nothing(google: GoogleHere, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(COMMAND) == 0
    said = capsys.readouterr().out
    assert said.count("to make ") == 8
    assert changes(google) == []
    assert "nothing was changed" in said


def test_what_is_shown_can_be_done_by_hand(
    google: GoogleHere, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(COMMAND)
    said = capsys.readouterr().out
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  gcloud ")]
    made = {" ".join(command[1:4]) for command in commands}
    assert made >= {
        "services enable compute.googleapis.com",
        "storage buckets create",
        "iam service-accounts create",
        "iam roles create",
        "storage buckets add-iam-policy-binding",
    }
    assert all(PROJECT in command for command in commands if "storage" not in command)
    for name in ("objects.json", "archives.json", "machine.json"):
        begins = said.index("{", said.index(f"where {name} is"))
        condition, _ = json.JSONDecoder().raw_decode(said[begins:])
        assert condition == NAMES.conditions()[name]


def test_applying_makes_all_of_it_once(
    google: GoogleHere, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main((*COMMAND, "--apply")) == 0
    said = capsys.readouterr().out
    assert said.count("  made ") == 8
    assert f"hydra.launcher.gcp_bucket={BUCKET}" in said
    assert set(found()) == {Found.THERE}
    google.site.log.clear()
    assert cli.main((*COMMAND, "--apply")) == 0
    assert capsys.readouterr().out.count("  there ") == 8
    assert changes(google) == []


def test_machines_can_be_bought_with_what_was_made(google: GoogleHere) -> None:
    with pytest.raises(ValueError, match=r"launchkit gcp setup --project .* --apply` makes it"):
        gce().check(1)
    list(apply(setup().steps()))
    gce().check(1)
    assert len(gce().start(order())) == 1
    assert len(gce().machines(SWEEP)) == 1


def test_the_bucket_is_closed(google: GoogleHere) -> None:
    list(apply(setup().steps()))
    closed = google.objects.bucket(BUCKET).fields["iamConfiguration"]
    assert closed["uniformBucketLevelAccess"]["enabled"] is True
    assert closed["publicAccessPrevention"] == "enforced"


def test_a_bucket_of_ones_own_that_is_open_is_closed(google: GoogleHere) -> None:
    google.objects.make_bucket({"name": BUCKET})
    assert found()[1] is Found.LACKING
    list(apply(setup().steps()))
    assert found()[1] is Found.THERE


def test_the_machines_may_end_their_own_kind_and_nothing_else(google: GoogleHere) -> None:
    list(apply(setup().steps()))
    (binding,) = bindings(google)
    role = google.accounts.roles[binding["role"]]
    assert set(role["includedPermissions"]) == {"compute.instances.delete", "compute.instances.get"}
    assert (
        'resource.type == "compute.googleapis.com/Instance"' in binding["condition"]["expression"]
    )
    assert binding["condition"]["expression"].endswith('.startsWith("lk-")')
    name = gce().start(order())[0].id
    assert name.startswith("lk-")


def test_the_machines_may_touch_their_prefix_and_nothing_else(google: GoogleHere) -> None:
    list(apply(setup().steps()))
    policy = google.objects.bucket(BUCKET).policy
    objects, archives = [each for each in policy["bindings"] if MEMBER in each["members"]]
    permissions = google.accounts.roles[objects["role"]]["includedPermissions"]
    assert all(each.startswith("storage.objects.") for each in permissions)
    below = f"projects/_/buckets/{BUCKET}/objects/launchkit/"
    expression = objects["condition"]["expression"]
    assert f'(resource.name.startsWith("{below}") && ' in expression
    assert f'!resource.name.startsWith("{below}.archives/"))' in expression
    assert 'objectListPrefix", "").startsWith("launchkit/")' in expression
    assert archives["role"] == "roles/storage.objectViewer"
    assert archives["condition"]["expression"] == f'resource.name.startsWith("{below}.archives/")'


def test_another_prefix_is_added_to_the_first(google: GoogleHere) -> None:
    list(apply(setup().steps()))
    other = Names(PROJECT, BUCKET, prefix="team/b")
    list(apply(GcpSetup(other, patience_s=3.0).steps()))
    assert set(found()) == {Found.THERE}
    policy = google.objects.bucket(BUCKET).policy
    assert len([each for each in policy["bindings"] if MEMBER in each["members"]]) == 4
    assert len(bindings(google)) == 1


def test_what_others_have_in_the_policy_stays(google: GoogleHere) -> None:
    before = json.loads(json.dumps(google.accounts.policy["bindings"]))
    list(apply(setup().steps()))
    after = google.accounts.policy["bindings"]
    assert [each for each in after if MEMBER not in each["members"]] == before


def test_a_policy_that_changes_meanwhile_is_read_again(google: GoogleHere) -> None:
    def change(request: Request) -> None:
        if request.path.endswith(":setIamPolicy"):
            google.before = lambda _request: None
            google.accounts.policy["bindings"].append(
                {"role": "roles/viewer", "members": [f"serviceAccount:{OWNER}"]}
            )
            google.accounts.version += 1

    google.before = change
    list(apply(setup().steps()))
    roles = {each["role"] for each in google.accounts.policy["bindings"]}
    assert "roles/viewer" in roles
    assert set(found()) == {Found.THERE}


def test_an_account_that_is_not_known_everywhere_yet_is_waited_for(google: GoogleHere) -> None:
    refused = []

    def refuse(request: Request) -> Answer | None:
        if not request.path.endswith(":setIamPolicy") or refused:
            return None
        refused.append(request.path)
        return bad_request(f"Service account {ACCOUNT} does not exist.").answer()

    google.before = refuse
    list(apply(setup().steps()))
    assert refused
    assert set(found()) == {Found.THERE}


def test_a_role_that_was_changed_or_deleted_is_put_right(google: GoogleHere) -> None:
    list(apply(setup().steps()))
    objects, machine = google.accounts.roles.values()
    objects["includedPermissions"] = ["storage.objects.get"]
    machine["deleted"] = True
    assert found()[3:5] == [Found.LACKING, Found.LACKING]
    list(apply(setup().steps()))
    assert found()[3:5] == [Found.THERE, Found.THERE]
    assert not machine.get("deleted")


def test_an_account_that_may_do_more_is_said(
    google: GoogleHere, capsys: pytest.CaptureFixture[str]
) -> None:
    list(apply(setup().steps()))
    google.accounts.policy["bindings"].append({"role": "roles/editor", "members": [MEMBER]})
    assert cli.main(COMMAND) == 0
    assert "has the role roles/editor too, which is not needed" in capsys.readouterr().out


def test_a_bucket_of_somebody_else_is_refused(
    google: GoogleHere, capsys: pytest.CaptureFixture[str]
) -> None:
    google.play("status", count=1000, path=f"/b/{BUCKET}", status=403, reason="forbidden")
    assert cli.main((*COMMAND, "--apply")) == 1
    assert "choose another --bucket" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--bucket", "No_Good!"), "bucket is 'No_Good!'"),
        (("--prefix", "/x"), "prefix is '/x'"),
        (("--name", "lk"), "name is 'lk'"),
        (("--project", "UPPER"), "project is 'UPPER'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    google: GoogleHere, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert cli.main((*COMMAND, *more)) == 2
    assert said in capsys.readouterr().err
    assert changes(google) == []
