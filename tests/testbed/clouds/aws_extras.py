"""What moto does not have: the Price List, the quotas of EC2, and images for GPUs."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from aws_moto import Moto
from aws_requests import Refusal, Request, Response
from moto.ec2.models.amis import Ami

_JSON = ("Content-Type", "application/x-amz-json-1.1")
_GPU_IMAGES = re.compile(
    r"/aws/service/deeplearning/ami/(x86_64|arm64)/"
    r"base-oss-nvidia-driver-gpu-(amazon-linux-2023|al2023)/latest/ami-id"
)
_PRICES = {"c7i.large": 0.08925, "m7i.large": 0.1008, "t3.micro": 0.0104, "g5.xlarge": 1.006}
_REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
_QUOTAS = {"L-1216C47A": 64.0, "L-34B43A08": 64.0, "L-DB2E81BA": 8.0, "L-3819A6DF": 0.0}
"""vCPUs: ordinary machines on demand and as spot ones, and those with GPUs (G and VT)."""


class Extras:
    """What is answered before moto is asked.

    Attributes
    ----------
    prices
        USD an hour on demand, by type.
    spot_prices
        USD an hour as a spot machine, by type; of others moto says something.
    quotas
        By their codes.
    """

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self.prices: dict[str, float] = {}
        self.spot_prices: dict[str, float] = {}
        self.quotas: dict[str, float] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.prices = dict(_PRICES)
        self.spot_prices = {}
        self.quotas = dict(_QUOTAS)

    def answer(self, request: Request) -> Response | None:
        """Answer a request; None if moto can.

        Raises
        ------
        Refusal
            If AWS would refuse it.
        """
        match request.service, request.action:
            case "pricing", "GetProducts":
                return _told(self._products(json.loads(request.body)))
            case "servicequotas", "GetServiceQuota" | "GetAWSDefaultServiceQuota":
                return self._quota(json.loads(request.body))
            case "ssm", "GetParameter":
                return self._gpu_image(request.region, json.loads(request.body)["Name"])
            case "ec2", "DescribeSpotPriceHistory":
                return self._spot_history(request)
            case "ec2", "DescribeRegions":
                return self._regions(request)
        return None

    def _products(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = {each["Field"]: each["Value"] for each in asked.get("Filters", ())}
        price = self.prices.get(wanted.get("instanceType", ""))
        usual = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA"}
        if price is None or any(wanted.get(name, value) != value for name, value in usual.items()):
            return {"FormatVersion": "aws_v1", "PriceList": []}
        dimension = {
            "unit": "Hrs",
            "description": f"${price} per On Demand Linux {wanted['instanceType']} Instance Hour",
            "pricePerUnit": {"USD": f"{price:.10f}"},
        }
        term = {"priceDimensions": {"S.JRT.6YS": dimension}, "termAttributes": {}}
        product = {
            "product": {"productFamily": "Compute Instance", "attributes": {**usual, **wanted}},
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {"S.JRT": term}},
        }
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)]}

    def _quota(self, asked: dict[str, Any]) -> Response | None:
        if asked["ServiceCode"] != "ec2":
            return None
        code = asked["QuotaCode"]
        if code not in self.quotas:
            raise Refusal("NoSuchResourceException", f"There is no quota {code}.")
        quota = {"ServiceCode": "ec2", "QuotaCode": code, "Value": self.quotas[code]}
        return _told({"Quota": quota})

    def _gpu_image(self, region: str, name: str) -> Response | None:
        found = _GPU_IMAGES.fullmatch(name)
        if found is None:
            return None
        ec2, architecture = self._moto.ec2(region), found[1]
        id = f"ami-{hashlib.sha256(f'{region} {architecture}'.encode()).hexdigest()[:17]}"
        if id not in ec2.amis:
            ec2.amis[id] = Ami(
                ec2,
                id,
                name="Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 20261101",
                owner_id="898082745236",
                owner_alias="amazon",
                public=True,
                virtualization_type="hvm",
                architecture=architecture,
                root_device_type="ebs",
                root_device_name="/dev/xvda",
                region_name=f"{region}a",
            )
        parameter = {"Name": name, "Type": "String", "Value": id, "Version": 1}
        return _told({"Parameter": parameter})

    def _regions(self, request: Request) -> Response:
        """Tell of an account that uses few regions: moto takes a while to make each."""
        response = self._moto.answer(request)
        body = re.sub(
            rb"<optInStatus>[^<]*</optInStatus>(\s*<regionName>([^<]*)</regionName>)",
            lambda found: (
                b"<optInStatus>opted-in</optInStatus>" + found[1]
                if found[2].decode() in _REGIONS
                else b"<optInStatus>not-opted-in</optInStatus>" + found[1]
            ),
            response.body,
        )
        return Response(response.status, [("Content-Type", "text/xml")], body)

    def _spot_history(self, request: Request) -> Response | None:
        kind = request.form.get("InstanceType.1", "")
        if kind not in self.spot_prices:
            return None
        response = self._moto.answer(request)
        price = f"<spotPrice>{self.spot_prices[kind]:.6f}</spotPrice>".encode()
        body = re.sub(rb"<spotPrice>[^<]*</spotPrice>", price, response.body)
        return Response(response.status, [("Content-Type", "text/xml")], body)


def _told(answer: dict[str, Any]) -> Response:
    return Response(200, [_JSON], json.dumps(answer).encode())
