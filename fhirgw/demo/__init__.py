"""Synthetic people, partners and the printed tour. Nobody in it exists."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

from fhirgw.settings import Settings

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
CASES = ("ct-bhp.json", "husky.json", "ne-peer.json", "bc-icmt.json", "ccbh-peer.json", "ct-bhp-candidate.json")
NPI = "http://hl7.org/fhir/sid/us-npi"

SENDERS = """\
# Hospitals that send ADT. An edit counts from the next message or replay.
[senders.elm-hospital]
facility = "ELMHOSP"
zone = "America/New_York"

[senders.elm-hospital.authorities]
ELMHOSP = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"
CTMEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
NEMEDICAID = "http://fhirgw.org/fhir/sid/ne-medicaid"
PAMEDICAID = "http://fhirgw.org/fhir/sid/pa-medicaid"
BCPHN = "http://fhirgw.org/fhir/sid/bc-phn"
"""


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner's system that the demo registers."""

    id: str
    name: str
    organization: tuple[str, str]
    purposes: tuple[str, ...]
    scopes: tuple[str, ...] = ("system/*.rs",)
    inside: frozenset[str] | None = None


CLIENTS = (
    Partner("pcmh-elm", "Elm Street Family Practice", (NPI, "1234567893"), ("TREAT",)),
    Partner("pcmh-oak", "Oak Avenue Medical Home", (NPI, "1999999984"), ("TREAT",)),
    Partner(
        "agency-dss",
        "Example State Department of Social Services",
        ("http://fhirgw.org/fhir/sid/agency", "CT-DSS"),
        ("COC",),
    ),
    Partner(
        "icm-system",
        "Example ICM Programme",
        ("http://fhirgw.org/fhir/sid/agency", "EXAMPLE-ICM"),
        ("COC",),
        ("system/*.cruds", "system/icm"),
        frozenset({"*"}),
    ),
)

ALMA = "http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001"

_TOUR = Template(
    """
fhirgw demo: everybody in it is invented. HTTP on $base, MLLP on $mllp. Try, in another terminal:
(The same commands, with what to look for, are in README.md.)

  # 1. A hospital admits a member, then a candidate
  $fhirgw send fixtures/v2/A01/member.hl7 --to $mllp
  $fhirgw send fixtures/v2/A01/candidate.hl7 --to $mllp
  $fhirgw client call icm-system --key $keys/icm-system.jwk GET 'Task?status=requested'

  # 2. A practice with the member's release finds her and pulls the shared care plan; one without gets nothing
  $fhirgw client call pcmh-elm --key $keys/pcmh-elm.jwk POST Patient/_search --form 'identifier=$alma'
  $fhirgw client call pcmh-elm --key $keys/pcmh-elm.jwk GET 'CarePlan?patient=$patient&_include=CarePlan:goal'
  $fhirgw client call pcmh-oak --key $keys/pcmh-oak.jwk POST Patient/_search --form 'identifier=$alma'
  $fhirgw client call agency-dss --key $keys/agency-dss.jwk GET Patient

  # 3. She revokes; the very next request shows nothing
  $fhirgw consent revoke --patient '$alma' --recipient pcmh-elm
  $fhirgw client call pcmh-elm --key $keys/pcmh-elm.jwk POST Patient/_search --form 'identifier=$alma'

  # 4. Why, and what went out
  $fhirgw consent explain --patient '$alma' --recipient pcmh-elm --purpose TREAT
  $fhirgw audit disclosures --patient '$alma'
  $fhirgw audit verify

  # 5. A message nobody can map yet: AE, kept; teach the map, replay
  $fhirgw send fixtures/v2/A01/unmapped-class.hl7 --to $mllp
  $fhirgw journal list --state rejected
  printf '\\n[senders.elm-hospital.codes.0004]\\nXI = "I"\\n' >> $data/senders.toml
  $fhirgw journal replay

Ctrl-C stops it; the data is in $data.
"""
)


def tour(settings: Settings, patient: str) -> str:
    """What to type, with this installation's addresses and the first member's logical id."""
    return _TOUR.substitute(
        base=settings.base,
        mllp=f"mllp://{settings.mllp_host}:{settings.mllp_port}",
        fhirgw=".venv/bin/fhirgw",
        keys=settings.data_dir / "demo",
        data=settings.data_dir,
        alma=ALMA,
        patient=patient,
    )
