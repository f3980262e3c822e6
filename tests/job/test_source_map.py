"""YAML becomes plain values, each with its line; what is not plain YAML is refused with a line."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core.errors import JobError
from raybench.job.source_map import read_yaml

LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
TREE = st.recursive(
    LEAF, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=6), t, max_size=3), max_leaves=8
)


def read_error(text: str) -> str:
    with pytest.raises(JobError) as caught:
        read_yaml(text, "x.yaml")
    return str(caught.value)


@settings(max_examples=60)
@given(TREE)
def test_values_are_those_that_safe_load_gives(tree: object) -> None:
    text = yaml.safe_dump(tree)
    assert read_yaml(text, "x.yaml")[0] == yaml.safe_load(text) == tree


def test_every_key_and_item_has_its_line() -> None:
    _, source_map = read_yaml("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "x.yaml")
    assert source_map.where(("b", 1, "d")) == "x.yaml:5: b[1].d"
    assert source_map.where(("b", 1, "missing")) == "x.yaml:4: b[1].missing"
    assert source_map.where(("a",)) == "x.yaml:1: a"


@pytest.mark.parametrize("written", ["1e-4", "1E5", "-2e+3", "1.e3", "5e0"])
def test_an_exponent_makes_a_number(written: str) -> None:
    assert read_yaml(f"x: {written}", "x.yaml")[0] == {"x": float(written)}


@pytest.mark.parametrize("written", ["'1e-4'", '"2e3"', "e4", "1e4x"])
def test_quoted_text_and_words_stay_text(written: str) -> None:
    assert isinstance(read_yaml(f"x: {written}", "x.yaml")[0]["x"], str)


def test_a_date_stays_as_it_was_written() -> None:
    assert read_yaml("revision: 2024-01-01", "x.yaml")[0] == {"revision": "2024-01-01"}


@pytest.mark.parametrize(
    "text",
    ["a: 1\nb: !!python/object/apply:os.system ['true']", "a: 1\nb: !!python/name:os.system", "a: 1\nb: !mine {c: 1}"],
)
def test_a_tag_that_would_build_an_object_is_refused(text: str) -> None:
    message = read_error(text)
    assert message.startswith("x.yaml:2: b: tag !")
    assert "would build an object" in message


def test_a_key_written_twice_names_both_lines() -> None:
    assert read_error("a: 1\nb: 2\na: 3") == "x.yaml:3: a: key written twice, first on line 1"


def test_what_is_not_yaml_names_its_line() -> None:
    assert read_error("a: 1\nb: [1, 2\nc: 3").startswith("x.yaml:3: not YAML: ")
    assert read_error("a: *nowhere").startswith("x.yaml:1: not YAML: ")
    assert read_error("a: \x00").startswith("x.yaml:1: not text")


def test_merged_keys_give_way_to_those_written() -> None:
    text = "base: &base {a: 1, b: 2}\nx: &x {<<: *base, b: 3}\ny: *x\n"
    data, source_map = read_yaml(text, "x.yaml")
    assert data["x"] == data["y"] == {"a": 1, "b": 3}
    assert source_map.line(("x", "b")) == 2


def test_an_anchor_that_holds_itself_is_refused() -> None:
    assert "holds itself" in read_error("a: &a [*a]")


def test_anchors_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "anchors nested in anchors" in read_error("\n".join(lines))
