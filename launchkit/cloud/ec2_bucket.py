"""The bucket of EC2 sweeps, made private."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from launchkit.cloud import ec2_policies
from launchkit.cloud.aws import Aws, look, make
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.providers import Refused
from launchkit.cloud.setup_steps import Found, Step

HOME = "us-east-1"
"""The region that S3 does not want to be named."""
BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
ENCRYPTED = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
OWNED = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
NONE_YET = ("404", "NoSuchBucket")


class Bucket:
    """A bucket, and what makes it private.

    Parameters
    ----------
    aws
        Whom to ask.
    name
        Its name.
    """

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self._name = name

    def steps(self) -> list[Step]:
        """Return what is needed."""
        return [
            Step(f"bucket s3://{self._name} in {self._aws.region}", self._look, self._make),
            Step("  no public access to it", self._look_block, self._make_block),
            Step("  its objects encrypted", self._look_encrypted, self._make_encrypted),
            Step("  its objects the owner's, without lists of access", self._look_owned, self._own),
            Step("  no traffic without encryption", self._look_policy, self._make_policy),
        ]

    def _look(self) -> Found:
        with self._told():
            found, answer = look(lambda: self._ask("head_bucket"), NONE_YET, forbidden=())
        region = answer.get("BucketRegion", self._aws.region) if found is Found.THERE else ""
        if region and region != self._aws.region:
            raise Refused(f"s3://{self._name} is in {region}; name that with --region")
        return found

    def _make(self) -> None:
        place: dict[str, Any] = {}
        if self._aws.region != HOME:
            place = {"CreateBucketConfiguration": {"LocationConstraint": self._aws.region}}
        with self._told():
            make(
                lambda: self._ask("create_bucket", ObjectOwnership="BucketOwnerEnforced", **place),
                "BucketAlreadyOwnedByYou",
            )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say whose the bucket is, if it is not ours."""
        try:
            yield
        except Said as error:
            if error.code not in ("403", "AccessDenied", "BucketAlreadyExists"):
                raise
            raise Refused(
                f"s3://{self._name} is there, and is somebody else's, or you may not look at it "
                f"({error.code}: {error.text}); choose another --bucket"
            ) from error

    def _look_block(self) -> Found:
        found, answer = look(
            lambda: self._ask("get_public_access_block"),
            ("NoSuchPublicAccessBlockConfiguration", *NONE_YET),
        )
        return _as_wanted(found, answer, "PublicAccessBlockConfiguration", BLOCKED)

    def _make_block(self) -> None:
        self._ask("put_public_access_block", PublicAccessBlockConfiguration=BLOCKED)

    def _look_encrypted(self) -> Found:
        found, _ = look(
            lambda: self._ask("get_bucket_encryption"),
            ("ServerSideEncryptionConfigurationNotFoundError", *NONE_YET),
        )
        return found

    def _make_encrypted(self) -> None:
        self._ask("put_bucket_encryption", ServerSideEncryptionConfiguration=ENCRYPTED)

    def _look_owned(self) -> Found:
        found, answer = look(
            lambda: self._ask("get_bucket_ownership_controls"),
            ("OwnershipControlsNotFoundError", *NONE_YET),
        )
        return _as_wanted(found, answer, "OwnershipControls", OWNED)

    def _own(self) -> None:
        self._ask("put_bucket_ownership_controls", OwnershipControls=OWNED)

    def _look_policy(self) -> Found:
        found, answer = look(
            lambda: self._ask("get_bucket_policy"), ("NoSuchBucketPolicy", *NONE_YET)
        )
        if found is not Found.THERE:
            return found
        own = ec2_policies.bucket(self._name, self._partition())["Statement"][0]
        return Found.THERE if own in _statements(answer["Policy"]) else Found.LACKING

    def _make_policy(self) -> None:
        """Add our statement to those that are there."""
        wanted = ec2_policies.bucket(self._name, self._partition())
        found, answer = look(lambda: self._ask("get_bucket_policy"), ("NoSuchBucketPolicy",))
        if found is Found.THERE:
            before = json.loads(answer["Policy"])
            others = [
                each
                for each in _statements(answer["Policy"])
                if each.get("Sid") != ec2_policies.ONLY_ENCRYPTED
            ]
            wanted = {**before, "Statement": [*others, *wanted["Statement"]]}
        elif found is Found.UNKNOWN:
            raise Refused(
                f"the policy of s3://{self._name} cannot be read, and would be overwritten; ask "
                "its owner to apply this"
            )
        self._ask("put_bucket_policy", Policy=json.dumps(wanted))

    def _partition(self) -> str:
        return self._aws.partition(self._aws.region)

    def _ask(self, operation: str, **parameters: Any) -> Any:
        return self._aws.ask(
            "s3", lambda s3: getattr(s3, operation)(Bucket=self._name, **parameters)
        )


def _statements(policy: str) -> list[dict[str, Any]]:
    found = json.loads(policy).get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _as_wanted(found: Found, answer: Any, field: str, wanted: dict[str, Any]) -> Found:
    if found is Found.THERE and answer[field] != wanted:
        return Found.LACKING
    return found
