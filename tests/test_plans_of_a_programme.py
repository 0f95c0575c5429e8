"""A plan says of which programme's it is, in the words of the definitions that are served, and is found by that."""

import orjson
import pytest
from composed_gateway import composed

from fhirgw.asks import Search
from fhirgw.terminology import BASE


@pytest.fixture
def gateway(tmp_path):
    with composed(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("who", "program", "total"), [("icm-system", "ct-bhp", 1), ("icm-system", "husky", 1), ("pcmh-elm", "husky", 0)]
)
async def test_the_plans_of_a_programme_are_found_by_its_definition(gateway, who, program, total):
    asked = Search("CarePlan", (("instantiates-canonical", f"{BASE}/PlanDefinition/{program}"),))
    found = orjson.loads((await gateway.gateway.share.release(gateway.requester(who), asked)).body)
    assert found["total"] == total
    assert all(
        one["resource"]["instantiatesCanonical"] == [f"{BASE}/PlanDefinition/{program}"]
        for one in found.get("entry", [])
    )
