"""What the machines' role may do, and nothing else: documents, as AWS reads them."""

from __future__ import annotations

from typing import Any

VERSION = "2012-10-17"
ONLY_ENCRYPTED = "LaunchkitOnlyEncryptedTraffic"


def trust(partition: str = "aws") -> dict[str, Any]:
    """Return who may take the role: machines of EC2."""
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": f"ec2.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"},
        "Action": "sts:AssumeRole",
    }
    return {"Version": VERSION, "Statement": [allowed]}


def role(bucket: str, prefix: str, partition: str = "aws") -> dict[str, Any]:
    """Return what a machine may do: read and write below its prefix, and end itself.

    Parameters
    ----------
    bucket, prefix
        Where the sweeps are.
    partition
        The part of AWS: ``aws``, or another one in China or for a government.
    """
    place = f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "ListSweeps",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": place,
                "Condition": {"StringLike": {"s3:prefix": f"{prefix}/*"}},
            },
            {
                "Sid": "ReadAndWriteSweeps",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                "Resource": f"{place}/{prefix}/*",
            },
            {
                # What other machines run: a job that has got out of its container must not
                # get into those of the next sweep.
                "Sid": "LeaveArchivesAlone",
                "Effect": "Deny",
                "Action": "s3:PutObject",
                "Resource": f"{place}/{prefix}/.archives/*",
            },
            {
                "Sid": "EndItself",
                "Effect": "Allow",
                "Action": "ec2:TerminateInstances",
                "Resource": f"arn:{partition}:ec2:*:*:instance/*",
                # Of a machine that asks, this is its own name; of the machine that is to be
                # ended, the id in it. Nobody else has the first.
                "Condition": {
                    "ArnLike": {
                        "ec2:SourceInstanceARN": (
                            f"arn:{partition}:ec2:*:*:instance/${{ec2:InstanceID}}"
                        )
                    }
                },
            },
        ],
    }


def bucket(name: str, partition: str = "aws") -> dict[str, Any]:
    """Return what nobody may do with the bucket: reach it without encryption."""
    place = f"arn:{partition}:s3:::{name}"
    forbidden = {
        "Sid": ONLY_ENCRYPTED,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [place, f"{place}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": VERSION, "Statement": [forbidden]}
