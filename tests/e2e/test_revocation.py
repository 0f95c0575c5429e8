"""A revocation, typed beside a running gateway, is over before the next request."""

from gateway_process import ALMA


def test_a_revocation_stops_the_next_request_and_the_next_page(gateway):
    alma = gateway.patient(ALMA)
    with gateway.partner("pcmh-elm") as elm:
        first = elm.get(f"/Goal?patient={alma}&_count=1").json()
        assert first["total"] > 1
        following = next(link["url"] for link in first["link"] if link["relation"] == "next")
        assert elm.get(following).json()["entry"]
        gateway.command("consent", "revoke", "--patient", ALMA, "--recipient", "pcmh-elm")
        stopped = elm.get(following).json()
        assert stopped["total"] == 0
        assert "entry" not in stopped
        assert elm.post("/Patient/_search", data={"identifier": ALMA}).json()["total"] == 0
        assert elm.get(f"/Patient/{alma}").status_code == 404
