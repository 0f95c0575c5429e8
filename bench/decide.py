"""How many decisions a second ``fhirgw consent decide --batch`` makes in one process, in CPU time.

    python bench/decide.py [--questions 200] [--resources 100]

A question is a request with its Consents, supporting resources and settings; each is asked about several resources.
Reading the JSON of a line and writing the answer are part of it. Beside it: what ``orjson.loads`` of the same lines
costs, to compare machines by.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from fhirgw.consent.cases import Cases

CASES = Path(__file__).parent.parent / "fixtures" / "consent" / "cases.ndjson"
CODES = ("E11.9", "I10", "J45.909", "F11.20", "F33.1", "M54.5")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def lines(questions: int, resources: int) -> Iterator[bytes]:
    """Cases as a file has them: a question's resources stand together."""
    known = [orjson.loads(line) for line in CASES.read_bytes().splitlines()]
    models: list[dict[str, Any]] = [case for case in known if isinstance(case["request"]["purpose"], str)]
    for question in range(questions):
        case = orjson.loads(orjson.dumps(models[question % len(models)]))
        for consent in case["consents"]:
            consent["id"] += f"-{question}"
        for number in range(resources):
            code = {"coding": [{"system": ICD, "code": CODES[number % len(CODES)]}]}
            onset = f"2026-{number % 9 + 1:02}-{number % 28 + 1:02}"
            resource = case["resource"] | {"id": f"x{number}", "code": code, "onsetDateTime": onset}
            yield orjson.dumps(case | {"id": f"{question}/{number}", "resource": resource})


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--resources", type=int, default=100)
    asked = parser.parse_args()
    made = list(lines(asked.questions, asked.resources))
    begun = time.process_time()
    for line in made:
        orjson.loads(line)
    read = time.process_time() - begun
    cases, permitted = Cases(), 0
    begun = time.process_time()
    for number, line in enumerate(made, 1):
        answer = cases.answer(line, number)
        permitted += answer["effect"] == "PERMIT"
        orjson.dumps(answer)
    spent = time.process_time() - begun
    each = spent / len(made) * 1e6
    print(f"{len(made)} cases of {sum(map(len, made)) // len(made)} bytes, {permitted} permitted")
    print(f"{len(made) / spent:.0f} decisions/s, {each:.1f} us each; reading the JSON alone: "
          f"{read / len(made) * 1e6:.1f} us")  # fmt: skip


if __name__ == "__main__":
    main()
