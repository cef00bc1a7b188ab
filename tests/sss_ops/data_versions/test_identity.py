import pytest

from sss_ops.data_versions.personal_data import BIRTH_DATE, NAME, look, masked


@pytest.mark.parametrize(
    "text",
    [
        "DOE^JANE",
        "TE=2.9;MÜLLER^ANNA^^",
        "Doe, Jane",
        '{"PatientName": "DOE"}',
        "Patient's Name: D",
        "(0010,0010) PN [x]",
    ],
)
def test_a_name_is_seen_in_any_field(text: str) -> None:
    assert look(text, for_a_name=False) == NAME


@pytest.mark.parametrize("text", ["19700131", "1970-01-31", "31.1.1970", "DOB: 70", '"PatientBirthDate": "70"'])
def test_a_date_that_may_be_of_birth_is_seen(text: str) -> None:
    assert look(text, for_a_name=False) == BIRTH_DATE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FSL5.0",
        "5.0.10",
        "TE=2.9;Time=105959.000;phase=1",
        "Warped Image",
        "SPM compatible",
        "FreeSurfer stable6",
        "1.2.840.113619.2.19700131",
        '{"PatientName": "", "Modality": "MR"}',
        "spline, order 3",
    ],
)
def test_what_software_writes_is_no_person(text: str) -> None:
    assert look(text, for_a_name=False) is None


def test_two_capitalised_words_are_a_name_where_one_is_due() -> None:
    assert look("Jane Doe", for_a_name=True) == NAME
    assert look("Jane Doe", for_a_name=False) is None


def test_a_masked_value_can_be_recognised_and_not_read() -> None:
    assert masked(" DOE^JANE ") == "D…, 8 characters"
