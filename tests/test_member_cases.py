"""Cases with eligibility, rights, screens and findings are stored whole."""

import pytest
from composed_gateway import case


@pytest.mark.parametrize("name", ["bc-outreach", "bc-client", "husky-cohort", "ne-screened", "ccbh-applicant"])
async def test_a_case_is_stored_whole_and_a_second_time_changes_nothing(whole, name):
    stated = case(f"{name}.json")
    assert await whole.gateway.ingest.cases.store(stated) is True
    before = whole.everything()
    assert await whole.gateway.ingest.cases.store(stated) is False
    assert whole.everything() == before
    kinds = {kind for kind, _ in before}
    assert {"Patient", "EpisodeOfCare", "Observation"} <= kinds
