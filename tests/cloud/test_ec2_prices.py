"""What machines cost, and how many there may be: what AWS says, and what where it says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launchkit.cloud import ec2_prices, ec2_quotas
from launchkit.cloud.aws_errors import Said
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.ec2_types import Kind
from launchkit.cloud.providers import Expired, Unreachable


class Answers:
    """AWS, with these answers and no other; an error among them is raised."""

    region = "eu-west-1"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.where: list[str | None] = []

    def ask(self, service: str, question: Any, *, region: str | None = None, **_: Any) -> Any:
        self.where.append(region)
        return question(Client(self, service))

    def ask_if_allowed(self, service: str, question: Any, **_: Any) -> Any:
        try:
            return self.ask(service, question)
        except Unreachable:
            return None


class Client:
    def __init__(self, aws: Answers, service: str) -> None:
        self.aws = aws
        self.service = service

    def __getattr__(self, operation: str) -> Any:
        def answer(**parameters: Any) -> Any:
            self.aws.asked.append((self.service, operation, parameters))
            told = self.aws.answers.pop(0)
            if isinstance(told, Exception):
                raise told
            return told

        return answer


def product(*prices: str, unit: str = "Hrs", currency: str = "USD") -> str:
    dimensions = {
        str(number): {"unit": unit, "pricePerUnit": {currency: price}}
        for number, price in enumerate(prices)
    }
    return json.dumps({"terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}}})


def settings(**more: Any) -> Ec2Settings:
    return Ec2Settings(s3_bucket="the-bucket", **more)


def test_the_price_list_is_asked_for_a_plain_linux_machine_of_the_region() -> None:
    aws: Any = Answers({"PriceList": [product("0.1010000000")]})
    price, source = ec2_prices.per_hour(aws, settings())
    assert price == pytest.approx(0.101)
    assert "disks and traffic not included" in source
    assert aws.where == ["us-east-1"]
    ((service, operation, parameters),) = aws.asked
    assert (service, operation) == ("pricing", "get_products")
    assert {each["Field"]: each["Value"] for each in parameters["Filters"]} == {
        "instanceType": "c7i.large",
        "regionCode": "eu-west-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }


def test_of_several_prices_the_highest_is_the_bound() -> None:
    aws: Any = Answers({"PriceList": [product("0.1", "0.0"), product("0.3"), product("0.2")]})
    assert ec2_prices.per_hour(aws, settings())[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    "products",
    [[], [product("7.0", currency="CNY")], [product("9.0", unit="Quantity")], ["{}"]],
)
def test_no_price_is_none_with_the_reason(products: list[str]) -> None:
    aws: Any = Answers({"PriceList": products})
    price, source = ec2_prices.per_hour(aws, settings())
    assert price is None
    assert "no price in USD for c7i.large in eu-west-1" in source
    assert "set price_per_hour" in source


def test_a_price_list_out_of_reach_is_no_price() -> None:
    aws: Any = Answers(Unreachable("pricing of AWS: " + "<html> " * 500))
    price, source = ec2_prices.per_hour(aws, settings())
    assert price is None
    assert len(source) < 350


def test_expired_credentials_are_not_taken_for_a_lack_of_prices() -> None:
    aws: Any = Answers(Expired("log in"))
    with pytest.raises(Expired):
        ec2_prices.per_hour(aws, settings())


def test_ones_own_price_is_taken_and_nobody_asked() -> None:
    aws: Any = Answers()
    price, source = ec2_prices.per_hour(aws, settings(price_per_hour=0.5, spot_price=0.2))
    assert price == pytest.approx(0.5)
    assert "price_per_hour" in source
    assert ec2_prices.per_hour(aws, settings(spot_price=0.2))[0] == pytest.approx(0.2)


def history(**prices: str) -> dict[str, Any]:
    return {
        "SpotPriceHistory": [
            {"AvailabilityZone": f"eu-west-1{zone}", "SpotPrice": price}
            for zone, price in prices.items()
        ]
    }


def test_the_cheapest_spot_offer_counts_in_the_zones_that_are_wanted() -> None:
    offers = {"a": "0.031", "b": "0.050"}
    ec2_prices.check_spot_price(Answers(history(**offers)), settings(spot_price=0.04))  # type: ignore[arg-type]  # a stand-in
    aws: Any = Answers(history(**offers))
    with pytest.raises(ValueError, match=r"spot_price is 0\.04,.*0\.05 USD.*eu-west-1b"):
        ec2_prices.check_spot_price(aws, settings(spot_price=0.04, zone="eu-west-1b"))


def test_without_any_offers_a_spot_price_is_not_refused() -> None:
    aws: Any = Answers(history())
    ec2_prices.check_spot_price(aws, settings(spot_price=0.04))
    ec2_prices.check_spot_price(aws, settings())
    assert len(aws.asked) == 1


# Quotas


def kind(name: str, vcpus: int = 4) -> Kind:
    return Kind(name, vcpus, 8192, ("x86_64",), "")


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("c7i.large", "L-1216C47A", "L-34B43A08"),
        ("im4gn.large", "L-1216C47A", "L-34B43A08"),
        ("t3.micro", "L-1216C47A", "L-34B43A08"),
        ("g6.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("gr6.4xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("p4d.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("inf2.xlarge", "L-1945791B", "L-B5D1601B"),
        ("trn1.2xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("u-6tb1.metal", None, None),
        ("mac2.metal", None, None),
    ],
)
def test_which_quota_a_type_counts_for(name: str, on_demand: str | None, spot: str | None) -> None:
    assert ec2_quotas.code_of(name, spot=False) == on_demand
    assert ec2_quotas.code_of(name, spot=True) == spot


def test_a_quota_of_vcpus_is_so_many_machines() -> None:
    aws: Any = Answers({"Quota": {"Value": 33.0}})
    assert ec2_quotas.most(aws, settings(), kind("c7i.xlarge")) == 8


def test_where_the_account_has_no_quota_of_its_own_that_of_all_is_taken() -> None:
    none = Said("", "NoSuchResourceException", "")
    aws: Any = Answers(none, {"Quota": {"Value": 5.0}})
    assert ec2_quotas.most(aws, settings(), kind("c7i.xlarge")) == 1
    operations = [operation for _, operation, _ in aws.asked]
    assert operations == ["get_service_quota", "get_aws_default_service_quota"]


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_quota_for_less_than_a_machine_is_refused(value: float) -> None:
    aws: Any = Answers({"Quota": {"Value": value}})
    with pytest.raises(ValueError, match=rf"c7i\.xlarge.*4 vCPUs.*L-1216C47A.*is {value:g}"):
        ec2_quotas.most(aws, settings(), kind("c7i.xlarge"))


def test_what_is_not_known_is_no_limit() -> None:
    none = Said("", "NoSuchResourceException", "")
    out_of_reach: Any = Answers(Unreachable("out of reach"))
    unknown: Any = Answers(none, none)
    assert ec2_quotas.most(out_of_reach, settings(), kind("c7i.xlarge")) is None
    assert ec2_quotas.most(unknown, settings(), kind("c7i.xlarge")) is None
