"""Code maps are data: each target is a code of a system, and what the guide leaves empty has a stated rule."""

import re

import pytest

from fhirgw.profiles.definitions import value_set
from fhirgw.terminology import (
    ADDRESS_TYPE,
    ADDRESS_USE,
    ADMINISTRATIVE_SEX,
    CODE_MAPS,
    IDENTIFIER_TYPE,
    LANGUAGES,
    NAME_USE,
    TELECOM_SYSTEM,
    TELECOM_USE,
    TYPE_CODES,
    language_coding,
    table_coding,
)

CODE = re.compile(r"[^\s]+(\s[^\s]+)*")
REQUIRED = [
    ("administrative-gender", ADMINISTRATIVE_SEX, None),
    ("name-use", NAME_USE, "0200"),
    ("address-use", ADDRESS_USE, "0190"),
    ("address-type", ADDRESS_TYPE, "0190"),
    ("contact-point-use", TELECOM_USE, "0201"),
    ("contact-point-system", TELECOM_SYSTEM, "0202"),
]


@pytest.mark.parametrize("table", sorted(CODE_MAPS))
def test_every_target_is_a_code_of_a_system(table):
    for code, (system, target, display) in CODE_MAPS[table].items():
        assert CODE.fullmatch(code)
        assert CODE.fullmatch(target)
        assert system.startswith(("http://", "https://", "urn:"))
        assert display.strip() == display != ""


@pytest.mark.parametrize(("name", "codes", "table"), REQUIRED)
def test_every_target_of_a_required_binding_is_in_its_value_set(name, codes, table):
    systems = value_set(f"http://hl7.org/fhir/ValueSet/{name}")
    assert set(codes.values()) <= set().union(*systems.values())
    assert table is None or {code.upper() for code in codes} <= TYPE_CODES[table]


@pytest.mark.parametrize(
    ("code", "tag"),
    [("eng", "en"), ("EN", "en"), ("en_US", "en-US"), ("es-419", "es-419"), ("ger", "de"), ("deu", "de"),
     ("chi", "zh"), ("hmn", "hmn"), ("ase", "ase"), ("English", None), ("xx", None), ("en-Latin", None)],
)  # fmt: skip
def test_languages_are_bcp_47(code, tag):
    """RFC 5646: the two-letter subtag where there is one."""
    coding = language_coding(code)
    assert (coding["code"] if coding else None) == tag
    assert table_coding("0296", code) == coding


def test_every_language_has_one_tag():
    assert len({tag for tag in LANGUAGES.values() if len(tag) == 2}) == 184 - 1  # sh is deprecated
    assert all(LANGUAGES[tag] == tag for tag in LANGUAGES.values())


def test_the_tables_of_the_guide_are_whole():
    """Counted in the guide's sheets (commit 8c9b414); 0203 without its pattern NNxxx."""
    assert len(IDENTIFIER_TYPE) == 107
    assert {table: len(CODE_MAPS[table]) for table in ("0006", "0063", "0360", "0443", "0912", "0315")} == {
        "0006": 95, "0063": 32, "0360": 61, "0443": 23, "0912": 36, "0315": 5,
    }  # fmt: skip
