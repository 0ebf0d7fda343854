"""The structure of the package, and the documentation of what is public."""

import ast
import doctest
import inspect
import json
import operator
import pathlib
import subprocess
import sys
from importlib.util import find_spec

import pytest
from numpydoc.validate import validate

import skmlp

if find_spec("dask"):
    import skmlp.dask

SOURCE = pathlib.Path(skmlp.__file__).parent
ALLOWED = {
    "_activations": set(),
    "_losses": set(),
    "_network": {"_activations", "_losses"},
    "_memory_map": set(),
    "_coordinates": {"_memory_map"},
    "_parallel": set(),
    "_objective": {"_coordinates", "_memory_map"},
    "_alpha": {"_holdout", "_memory_map", "_rows", "_solvers"},
    "_schedules": set(),
    "_score_test": {"_activations"},
    "_solvers": set(),
    "_monitor": set(),
    "_holdout": {"_warnings"},
    "_rows": {"_memory_map"},
    "_targets": {"_losses"},
    "_warnings": set(),
    "onnx": {"__init__"},
    "dask": {
        "_alpha",
        "_callbacks",
        "_classifier",
        "_coordinates",
        "_objective",
        "_parallel",
        "_rows",
        "_targets",
    },
    "_callbacks": set(),
    "_display": set(),
    "_classifier": {
        "_activations",
        "_alpha",
        "_callbacks",
        "_coordinates",
        "_memory_map",
        "_network",
        "_objective",
        "_parallel",
        "_schedules",
        "_score_test",
        "_solvers",
        "_monitor",
        "_holdout",
        "_rows",
        "_targets",
        "_warnings",
    },
    "__init__": {"_classifier", "_display"},
}
OPTIONAL = {
    "_display": {"matplotlib"},
    "dask": {"dask", "pandas"},
    "onnx": {"onnx", "skl2onnx"},
}
REQUIRED = {"numpy", "scipy", "sklearn", "threadpoolctl"}


def imported(path):
    """Names of all modules that a file imports, at the top or anywhere inside."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield node.module


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_imports_follow_the_architecture(path):
    found = set(imported(path))
    own = {
        name.partition(".")[2] or "__init__"
        for name in found
        if name.split(".")[0] == "skmlp"
    }
    assert own <= ALLOWED[path.stem]
    others = {name.split(".")[0] for name in found} - {"skmlp"}
    assert others <= REQUIRED | OPTIONAL.get(path.stem, set()) | set(
        sys.stdlib_module_names
    )


def public():
    names = list(skmlp.__all__)
    if find_spec("dask"):
        names.append("dask.DaskMLPClassifierManual")
    for name in names:
        yield f"skmlp.{name}"
        for method, value in vars(operator.attrgetter(name)(skmlp)).items():
            # scikit-learn generates the set_*_request methods, with their docstrings
            generated = method.startswith("set_") and method.endswith("_request")
            if not method.startswith("_") and callable(value) and not generated:
                yield f"skmlp.{name}.{method}"


@pytest.mark.parametrize("name", list(public()))
def test_public_names_are_documented(name):
    # style that the linter judges, and sections that not every method needs
    optional = {"GL01", "GL08", "SA01", "EX01", "ES01", "RT02", "RT03", "YD01"}
    if name.endswith("DaskMLPClassifierManual"):
        optional.add("PR01")  # the parameters are those of MLPClassifierManual
    if name.endswith("partial_fit"):
        optional.add("PR02")  # available_if hides the signature from numpydoc
    problems = [
        f"{code} {text}" for code, text in validate(name)["errors"] if code not in optional
    ]
    assert not problems


@pytest.mark.parametrize("name", list(public()))
def test_public_names_have_a_doctest_that_runs(name):
    value = operator.attrgetter(name.partition(".")[2])(skmlp)
    (test,) = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_parameter_is_documented_in_order():
    doc = skmlp.MLPClassifierManual.__doc__
    section = doc.split("Parameters\n")[1].split("Attributes\n")[0]
    named = [
        name.strip()
        for line in section.splitlines()
        if line.startswith("    ") and not line.startswith("     ") and " : " in line
        for name in line.split(" : ")[0].split(",")
    ]
    assert named == list(inspect.signature(skmlp.MLPClassifierManual).parameters)


def test_import_is_quiet_and_needs_no_extra():
    code = (
        "import sys, skmlp\n"
        "model = skmlp.MLPClassifierManual(solver='lbfgs')\n"
        "model.fit([[0.0], [1.0]], [0, 1]).predict_proba([[0.5]])\n"
        "print(sorted({'matplotlib', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"[]\n", b"")


DOCS = pathlib.Path(__file__).parents[1] / "docs"


def test_the_results_page_says_what_was_recorded(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "benchmarks")
    import report

    results = json.loads((DOCS / "benchmarks" / "results.json").read_text())
    page = (DOCS / "benchmarks" / "results.md").read_text()
    assert page.startswith(report.as_text(results))


def test_the_picture_of_the_architecture_has_every_module():
    picture = (DOCS / "_static" / "architecture.svg").read_text()
    assert [name for name in ALLOWED if f"{name}.py" not in picture] == ["__init__"]


@pytest.mark.parametrize("command", ["python -m pytest", "python -m sphinx"])
def test_one_command_wherever_it_is_named(command):
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    lines = [
        line
        for page in [*pages, DOCS / "contributing.md"]
        for line in page.read_text().splitlines()
        if line.startswith("pip install") and command in line
    ]
    assert len(lines) == 3
    assert len(set(lines)) == 1
