import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.datasets.aus import ActionUnit, Term, normal, parse, without_words
from mepipe.errors import MepipeError


# What the sheets of the five databases hold.
@pytest.mark.parametrize(("text", "expected"), [
    ("4", "4"), ("7B", "7B"), ("43E", "43E"), ("L2", "L2"), ("A12", "A12"), ("A/L12", "A/L12"),
    ("R12 or R14", "R12|R14"), ("(R6 or R12)+R15", "R6|R12+R15"), ("(R6 or R12) + R15", "R6|R12+R15"),
    ("R14A or 17A or 24A", "R14A|17A|24A"), ("10A/B", "10A/B"), ("4A/B", "4A/B"), ("12/14", "12|14"),
    ("ref(7B)+43", "ref(7B)+43"), ("7B+ ref(43)", "7B+ref(43)"), ("ref(L10)+A12B", "ref(L10)+A12B"),
    ("T18+39", "T18+39"), ("B18+25", "B18+25"), ("L12 + 61", "L12+61"), ("12+15 ", "12+15"),
    ("4+7+L10", "4+7+L10"), ("1+R2+25", "1+R2+25"), ("?", "?"), ("12?", "12?"), ("24+T18+16", "24+T18+16"),
    ("R4+AD38", "R4+AD38"), ("1+2+5+M58", "1+2+5+M58"), ("AU6+AU12", "6+12"), ("4+r12 ", "4+R12"),
    ("AU L12", "L12"), ("01+02", "1+2"), ("４＋7", "4+7"), ("", ""), ("  ", ""),
])  # fmt: skip
def test_the_normal_form(text, expected):
    assert normal(text) == expected
    assert parse(expected) == parse(text)


def test_nothing_is_lost():
    assert parse("(R6 or 12B)+ref(A/L43)+AD38?+?") == (
        Term((ActionUnit(6, side="R"), ActionUnit(12, intensity="B"))),
        Term((ActionUnit(43, side="A/L", reflex=True),)),
        Term((ActionUnit(38, kind="AD"),), uncertain=True),
        Term((), uncertain=True),
    )
    # A letter before a number is a side, one after it an intensity, and `/` between numbers an alternative.
    assert parse("10A/B12") == (Term((ActionUnit(10, intensity="A"), ActionUnit(12, side="B"))),)


@pytest.mark.parametrize(("text", "piece"), [
    ("4+soft focus", "'SOFT FOCUS'"), ("12+", "an empty place"), ("+", "an empty place"), ("6+123", "'123'"),
    ("(6+7) or 12", "'(6'"), ("12 14", "'12 14'"), ("AUAD4", "'AUAD4'"), ("ref(4", "'REF(4'"), ("0", "'0'"),
    ("12F", "'12F'"), ("4-7", "'4-7'"), ("2024-05-04 00:00:00", "'2024-05-04 00:00:00'"), ("12 or", "'12 OR'"),
])  # fmt: skip
def test_what_cannot_be_read_is_named(text, piece):
    with pytest.raises(MepipeError) as raised:
        parse(text)
    assert piece in str(raised.value)
    assert repr(text) in str(raised.value)


def test_words_can_be_put_aside():
    assert without_words("R14+17+soft focus") == ("R14+17", ("soft focus",))
    for text in ("R12 or R14", "12+?", "ref(7B)+43", "", "12+"):
        assert without_words(text) == (text, ())


SIDES = st.sampled_from(["", "L", "R", "A", "T", "B", "A/L", "A/R"])
UNITS = st.builds(
    ActionUnit,
    number=st.integers(1, 99),
    kind=st.sampled_from(["AU", "AD", "M"]),
    side=SIDES,
    intensity=st.sampled_from(["", "A", "B", "C", "D", "E", "A/B", "B/C"]),
    reflex=st.booleans(),
)
TERMS = st.builds(Term, st.lists(UNITS, min_size=1, max_size=3).map(tuple), st.booleans())


@given(st.lists(TERMS | st.just(Term((), True)), max_size=5).map(tuple))
def test_terms_survive_being_written(terms):
    assert parse("+".join(map(str, terms))) == terms


@given(st.text(st.sampled_from("0124AaBbLRrTDEMUuorOF+/|?() ."), max_size=16))
def test_the_normal_form_is_read_as_the_text_was(text):
    try:
        terms = parse(text)
    except MepipeError:
        return
    assert parse(normal(text)) == terms
    assert normal(normal(text)) == normal(text)
