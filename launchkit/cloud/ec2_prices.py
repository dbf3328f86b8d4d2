"""What a machine costs an hour at most, as far as AWS says so."""

from __future__ import annotations

import datetime
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from launchkit.cloud.aws import SHORT_S, Aws
from launchkit.cloud.ec2_settings import Ec2Settings
from launchkit.cloud.providers import Expired, ProviderError

PRICE_LIST = "us-east-1"
"""The price list of all regions is asked there."""
NOT_IN_IT = "disks and traffic not included"
LONGEST = 160
"""Characters of what an error says."""
INSTEAD = "set price_per_hour, if limits of the price are to hold"


def per_hour(aws: Aws, settings: Ec2Settings) -> tuple[float | None, str]:
    """Return the most that a machine costs an hour, in USD, and where that is from.

    The price is None where it cannot be told; then the words say why.
    """
    if settings.price_per_hour is not None:
        return settings.price_per_hour, "price_per_hour, as you have set it"
    if settings.spot_price is not None:
        return settings.spot_price, f"spot_price, which is never exceeded; {NOT_IN_IT}"
    try:
        price = _on_demand(aws, settings.instance_type)
    except Expired:
        raise
    except ProviderError as error:
        why = textwrap.shorten(str(error), LONGEST)
        return None, f"the price list of AWS could not be asked ({why}); {INSTEAD}"
    if price is None:
        return None, (
            f"the price list of AWS has no price in USD for {settings.instance_type} in "
            f"{aws.region}; {INSTEAD}"
        )
    return price, f"the price list of AWS, on demand; {NOT_IN_IT}"


def check_spot_price(aws: Aws, settings: Ec2Settings) -> None:
    """See to it that a spot machine can be had for the price.

    Raises
    ------
    ValueError
        If all cost more now.
    """
    if settings.spot_price is None:
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    answer = aws.ask_if_allowed(
        "ec2",
        lambda ec2: ec2.describe_spot_price_history(
            InstanceTypes=[settings.instance_type],
            ProductDescriptions=["Linux/UNIX"],
            StartTime=now,
            EndTime=now,
        ),
    )
    prices = {
        each["AvailabilityZone"]: float(each["SpotPrice"])
        for each in (answer or {}).get("SpotPriceHistory", ())
        if not settings.zones or each["AvailabilityZone"] in settings.zones
    }
    if not prices:
        return
    zone = min(prices, key=lambda each: prices[each])
    if settings.spot_price < prices[zone]:
        raise ValueError(
            f"spot_price is {settings.spot_price:g}, and the cheapest {settings.instance_type} "
            f"costs {prices[zone]:g} USD an hour now (in {zone}); set it to that or more, or to "
            "null to rent on demand"
        )


def _on_demand(aws: Aws, kind: str) -> float | None:
    """Return the price of the list; the highest one if it has several."""
    wanted = {
        "instanceType": kind,
        "regionCode": aws.region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()
    ]
    answer = aws.ask(
        "pricing",
        lambda pricing: pricing.get_products(ServiceCode="AmazonEC2", Filters=filters),
        region=PRICE_LIST,
        patience_s=SHORT_S,
    )
    prices = [price for text in answer["PriceList"] for price in _prices(json.loads(text))]
    return max(prices, default=None)


def _prices(product: Mapping[str, Any]) -> list[float]:
    """Return the prices of a product of the list, in USD an hour."""
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    found = [
        float(each["pricePerUnit"]["USD"])
        for term in terms
        for each in term.get("priceDimensions", {}).values()
        if each.get("unit") == "Hrs" and "USD" in each.get("pricePerUnit", {})
    ]
    return [price for price in found if price > 0]
