"""The harness against the gateway itself: a real process, on a real socket."""

import time

from fhirgw import harness
from fhirgw.app import new_id
from fhirgw.configuration import load_programs
from fhirgw.harness.synthetic import Run, references, samples
from fhirgw.harness.target import Target
from fhirgw.send import Credentials, token

RUN = Run("run1", b"key")
NOT_OFFERED = {"conditional create", "conditional update", "conditional delete", "forget", "subscription"}
"""What the gateway's CapabilityStatement does not name."""


def test_what_the_gateway_emits_it_takes_keeps_finds_gives_back_and_removes(gateway, tmp_path):
    key = (gateway.data / "demo" / "icm-system.jwk").read_text()
    signed_in = token(gateway.base, Credentials("icm-system", key), now=int(time.time()), jti=new_id())
    target = Target(gateway.base, token=lambda: signed_in, sleep=lambda _seconds: None)
    sent = [one for one in samples(RUN, "small", load_programs(None)) if one.name in ("ct-bhp", "ne-peer")]
    report = harness.run(target, RUN, sent, harness.Options(tmp_path / "journal", "small"))
    assert [(one.capability, one.notes) for one in report.results if one.status == "failed"] == []
    assert {one.capability for one in report.results if one.status == "skipped"} == NOT_OFFERED
    written = references(resource for one in sent for resource in one.resources)
    assert {target.request("GET", one).status for one in written} == {404}
    target.close()
