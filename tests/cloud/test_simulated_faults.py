"""What goes wrong with requests to the simulated AWS, and how they are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import testbed
from simulated_aws import (
    METADATA,
    ONCE,
    Renter,
    client,
    error_of,
    fault,
    machine,
    renting,
    wait_for,
    wait_for_word,
)

botocore_errors = pytest.importorskip("botocore.exceptions")
botocore_config = pytest.importorskip("botocore.config")

pytestmark = pytest.mark.cloud

CONTENT = b"x" * 1000


@pytest.fixture
def aws() -> Iterator[Renter]:
    with renting() as renter:
        yield renter


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("slow_down", "SlowDown", 503),
        ("internal", "InternalError", 500),
        ("expired", "ExpiredToken", 400),
        ("denied", "AccessDenied", 403),
    ],
)
def test_storage_fails_as_often_as_asked(aws, kind, code, status):
    s3 = with_object(aws.bucket)
    with fault(kind, path=aws.bucket, count=2):
        for _ in range(2):
            assert error_of(lambda: read(s3, aws.bucket)) == (code, status)
        assert read(s3, aws.bucket) == CONTENT


def test_storage_fails_as_long_as_asked(aws):
    s3 = with_object(aws.bucket)
    with fault("unavailable", path=aws.bucket, seconds=0.5):
        assert error_of(lambda: read(s3, aws.bucket)) == ("ServiceUnavailable", 503)
        time.sleep(0.5)
        assert read(s3, aws.bucket) == CONTENT


def test_a_bucket_in_another_region_is_found_there(aws):
    s3 = with_object(aws.bucket)
    with fault("wrong_region", path=aws.bucket, count=1, region="eu-west-1") as made:
        assert read(s3, aws.bucket) == CONTENT
        assert happened(made) == 1


@pytest.mark.parametrize("kind", ["reset", "truncate", "hang", "lose"])
def test_a_connection_breaks(aws, kind):
    with_object(aws.bucket)
    s3 = client("s3", ONCE.merge(botocore_config.Config(read_timeout=1)))
    with fault(kind, path=f"{aws.bucket}/a", count=1):
        with pytest.raises((botocore_errors.BotoCoreError, OSError)):
            read(s3, aws.bucket)
        assert read(s3, aws.bucket) == CONTENT


def test_what_is_lost_has_been_done(aws):
    s3 = client("s3")
    lost = fault("lose", path=f"{aws.bucket}/a", method="PUT", count=1)
    with lost, pytest.raises(botocore_errors.BotoCoreError):
        s3.put_object(Bucket=aws.bucket, Key="a", Body=CONTENT)
    assert read(s3, aws.bucket) == CONTENT


def test_a_fault_that_is_over_lets_go_what_hangs(aws):
    errors: list[Exception] = []

    def ask() -> None:
        try:
            client("s3").head_bucket(Bucket=aws.bucket)
        except botocore_errors.BotoCoreError as error:
            errors.append(error)

    with fault("hang", path=aws.bucket) as made:
        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: happened(made))
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
    assert errors


def test_a_machine_alone_has_a_fault(aws):
    (id,) = aws.run(
        METADATA
        + """
        while :; do aws s3 ls s3://$bucket --no-paginate && echo good || echo bad; done
        """
    )
    wait_for_word(id, "good")
    with fault("denied", service="s3", machine=id):
        wait_for_word(id, "bad")
        client("s3").head_bucket(Bucket=aws.bucket)
    wait_for(lambda: machine(id)["log"].endswith("good\n"))


def test_requests_are_counted_with_their_bytes(aws):
    s3 = client("s3")
    mark = testbed.aws_control("GET", "requests")["mark"]
    s3.put_object(Bucket=aws.bucket, Key="a", Body=b"x" * 1000)
    s3.get_object(Bucket=aws.bucket, Key="a")["Body"].read()
    list(s3.list_objects_v2(Bucket=aws.bucket)["Contents"])
    told = testbed.aws_control("GET", f"requests?since={mark}&path={aws.bucket}")
    assert told["counts"] == {"s3:PutObject": 1, "s3:GetObject": 1, "s3:ListObjectsV2": 1}
    assert told["bytes_in"] >= 1000
    assert [each["bytes_out"] for each in told["requests"]][1] == 1000


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("POST", "faults", {"kind": "flood"}, "flood"),
        ("POST", "faults", {"kinds": "reset"}, "kinds"),
        ("GET", "machines/i-0", None, "i-0"),
        ("POST", "nothing", None, "nothing"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_control_that_is_not_understood_says_why(method, path, body, word):
    with pytest.raises(ValueError, match=word):
        testbed.aws_control(method, path, body)


def with_object(bucket: str) -> Any:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=CONTENT)
    return s3


def read(s3: Any, bucket: str) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key="a")["Body"].read()
    return content


def happened(made: dict[str, Any]) -> int:
    (found,) = [each for each in testbed.aws_control("GET", "faults") if each["id"] == made["id"]]
    times: int = found["happened"]
    return times
