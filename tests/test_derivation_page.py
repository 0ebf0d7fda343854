"""The derivation's page: numbered as its source, with pictures as the script draws them."""

import re
import runpy
from pathlib import Path

import pytest

import skmlp

DOCS = Path(__file__).parents[1] / "docs"
DRAW = DOCS / "derivation" / "draw.py"
PAGE = (DOCS / "derivation.md").read_text(encoding="utf-8")


def test_equations_are_numbered_in_order():
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", PAGE)]
    labels = [int(number) for number in re.findall(r"^\(eq-(\d+)\)=$", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers == labels
    assert len(numbers) >= 23


def test_numbers_cited_in_the_source_are_on_the_page():
    package = Path(skmlp.__file__).parent
    sources = [package / f"_{name}.py" for name in ("network", "losses")]
    for source in sources:
        cited = re.findall(r"\((\d+)\)", source.read_text(encoding="utf-8"))
        assert cited
        assert all(rf"\tag{{{number}}}" in PAGE for number in cited)


@pytest.mark.parametrize("name", ["net.svg", "delta.svg", "sigmoid.svg"])
def test_pictures_are_as_the_script_draws_them(name):
    pictures = runpy.run_path(str(DRAW))["PICTURES"]
    assert pictures[name]() == (DOCS / "derivation" / name).read_text(encoding="utf-8")
    assert f":file: derivation/{name}" in PAGE
