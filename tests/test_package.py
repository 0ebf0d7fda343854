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
import skmlp.inspection
import skmlp.preprocessing
from skmlp._estimator import BaseMLP

if find_spec("dask"):
    import skmlp.dask

SOURCE = pathlib.Path(skmlp.__file__).parent
# Every room, above all that it imports: so there is no circle
ALLOWED = {
    "_activations": set(),
    "_labels": set(),
    "_losses": set(),
    "_memory_map": set(),
    "_parallel": set(),
    "_passes": set(),
    "_encoded": set(),
    "_repeats": {"_encoded", "_memory_map"},
    "_schedules": set(),
    "_sklearn": set(),
    "_warnings": set(),
    "_display": {"_labels", "_sklearn"},
    "_coordinates": {"_memory_map", "_warnings"},
    "_holdout": {"_repeats", "_warnings"},
    "_iteration": set(),
    "_line_search": set(),
    "_run": {"_iteration"},
    "_lbfgs": {"_iteration", "_line_search", "_run"},
    "_scipy_run": {"_iteration", "_run"},
    "_lbfgsb": {"_run", "_scipy_run"},
    "_newton": {"_iteration", "_run", "_scipy_run"},
    "_stochastic": {"_iteration"},
    "_solvers": {"_lbfgs", "_lbfgsb", "_newton", "_stochastic"},
    "_monitor": {"_iteration"},
    "_callbacks": {"_monitor"},
    "_network": {"_activations", "_losses"},
    "_relevance": {"_activations"},
    "_value_losses": {"_losses"},
    "_values": {"_coordinates", "_losses", "_repeats", "_value_losses"},
    "_targets": {"_losses", "_repeats", "_sklearn", "_values"},
    "_objective": {"_coordinates", "_encoded", "_memory_map", "_parallel"},
    "_row_space": {"_memory_map", "_repeats"},
    "_problem": {"_coordinates", "_parallel", "_relevance", "_row_space"},
    "_race": {"_parallel"},
    "_alpha": {"_holdout", "_race", "_solvers"},
    "_scaling": {"_coordinates"},
    "_unit": {"_alpha", "_coordinates", "_problem", "_race", "_scaling"},
    "_outcome": {"_coordinates", "_iteration", "_monitor", "_passes"},
    "_rows": {
        "_coordinates",
        "_holdout",
        "_memory_map",
        "_objective",
        "_parallel",
        "_repeats",
        "_targets",
    },
    "_settings": {"_activations", "_network", "_schedules", "_solvers", "_warnings"},
    "_inference": {"_memory_map", "_network", "_objective", "_parallel"},
    "_intake": {"_encoded", "_memory_map", "_rows", "_sklearn", "_targets"},
    "_choices": {"_alpha", "_monitor", "_race", "_scaling", "_unit"},
    "_growing": {"_monitor"},
    "_start": {"_coordinates", "_problem", "_scaling"},
    "_training": {
        "_alpha",
        "_choices",
        "_growing",
        "_iteration",
        "_monitor",
        "_outcome",
        "_parallel",
        "_passes",
        "_problem",
        "_relevance",
        "_start",
        "_unit",
        "_warnings",
    },
    "_estimator": {
        "_activations",
        "_callbacks",
        "_inference",
        "_intake",
        "_outcome",
        "_scaling",
        "_schedules",
        "_settings",
        "_sklearn",
        "_solvers",
        "_targets",
        "_training",
        "_warnings",
    },
    "_classifier": {"_callbacks", "_estimator", "_sklearn", "_targets"},
    "_regressor": {"_callbacks", "_estimator", "_sklearn", "_values"},
    "preprocessing": {"_sklearn"},
    "_tabular._gaps": set(),
    "_tabular._table": {"_sklearn", "_tabular._gaps"},
    "_tabular._encoding": {"_encoded", "_sklearn", "_tabular._gaps", "preprocessing"},
    "_tabular._intake": {
        "_intake",
        "_rows",
        "_sklearn",
        "_tabular._encoding",
        "_tabular._table",
    },
    "_tabular._estimator": {
        "_sklearn",
        "_tabular._encoding",
        "_tabular._intake",
        "_tabular._table",
    },
    "_tabular._classifier": {"_classifier", "_tabular._estimator"},
    "_tabular._regressor": {"_regressor", "_tabular._estimator"},
    "_tabular": {"_tabular._classifier", "_tabular._regressor"},
    "__init__": {"_classifier", "_display", "_regressor", "_tabular"},
    "onnx": {"__init__", "_value_losses", "preprocessing"},
    "inspection._columns": {
        "_sklearn",
        "_tabular._estimator",
        "_tabular._table",
        "preprocessing",
    },
    "inspection._fitted": {
        "_estimator",
        "_intake",
        "_outcome",
        "_problem",
        "_settings",
        "inspection._columns",
    },
    "inspection._curvature": {"_parallel", "_warnings", "inspection._fitted"},
    "inspection._responses": {"_losses", "_value_losses"},
    "inspection._subject": {
        "_estimator",
        "_inference",
        "_intake",
        "_network",
        "inspection._columns",
        "inspection._fitted",
        "inspection._responses",
    },
    "inspection._baseline": {"_sklearn", "inspection._columns", "inspection._fitted"},
    "inspection._path": {"_network"},
    "inspection._gradients": {
        "_inference",
        "_sklearn",
        "inspection._responses",
        "inspection._subject",
    },
    "inspection._attributions": {
        "_inference",
        "_sklearn",
        "_warnings",
        "inspection._baseline",
        "inspection._gradients",
        "inspection._path",
        "inspection._subject",
    },
    "inspection._display": {
        "_tabular._gaps",
        "_labels",
        "_sklearn",
        "inspection._attributions",
        "inspection._fitted",
        "inspection._responses",
    },
    "inspection": {
        "inspection._attributions",
        "inspection._curvature",
        "inspection._display",
        "inspection._gradients",
    },
    "dask._tasks": set(),
    "dask._lazy": {"dask._tasks"},
    "dask._sample": {"_repeats", "_rows", "dask._tasks"},
    "dask._parts": {
        "_alpha",
        "_coordinates",
        "_parallel",
        "_rows",
        "dask._sample",
        "dask._tasks",
    },
    "dask._intake": {
        "_intake",
        "_rows",
        "_sklearn",
        "dask._parts",
        "dask._sample",
        "dask._tasks",
    },
    "dask._estimator": {
        "_callbacks",
        "_classifier",
        "_outcome",
        "_regressor",
        "_settings",
        "_sklearn",
        "dask._intake",
        "dask._lazy",
    },
    "dask": {"dask._estimator"},
}
OPTIONAL = {
    "_display": {"matplotlib"},
    "dask._estimator": {"dask"},
    "dask._intake": {"dask", "pandas"},
    "dask._lazy": {"dask", "pandas"},
    "dask._parts": {"dask"},
    "dask._sample": {"dask", "pandas"},
    "dask._tasks": {"dask"},
    "inspection._display": {"matplotlib"},
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


def room(path):
    """Name of a module within the package; a subpackage's is its own."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


ROOMS = {room(path): path for path in sorted(SOURCE.rglob("*.py"))}


@pytest.mark.parametrize("name", ROOMS)
def test_imports_follow_the_architecture(name):
    found = set(imported(ROOMS[name]))
    own = {
        name.partition(".")[2] or "__init__"
        for name in found
        if name.split(".")[0] == "skmlp"
    }
    assert own <= ALLOWED[name]
    others = {name.split(".")[0] for name in found} - {"skmlp"}
    assert others <= REQUIRED | OPTIONAL.get(name, set()) | set(sys.stdlib_module_names)


def test_no_arrow_goes_back_up():
    seen = set()
    for name, below in ALLOWED.items():
        assert below <= seen
        seen.add(name)
    assert seen == set(ROOMS)


def private_imports(path):
    """What a file imports of scikit-learn that is private."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "sklearn":
            for alias in node.names:
                if any(
                    part.startswith("_") for part in (*node.module.split("."), alias.name)
                ):
                    yield alias.name


def test_what_is_private_in_scikit_learn_is_used_in_one_room():
    found = {name: list(private_imports(path)) for name, path in ROOMS.items()}
    assert len(found.pop("_sklearn")) == 13
    assert not any(found.values())


def private_attributes(path):
    """What a file uses of scikit-learn's estimators that is private, and not its own."""
    bases = [base for base in BaseMLP.__mro__ if base.__module__.startswith("sklearn")]
    theirs = {name for base in bases for name in vars(base)} | {"_skl_callbacks"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute | ast.Constant):
            name = node.attr if isinstance(node, ast.Attribute) else node.value
            is_private = str(name).startswith("_") and not str(name).startswith("__")
            if is_private and name in theirs - set(vars(BaseMLP)):
                yield name


def test_private_attributes_of_scikit_learn_are_used_in_two_rooms():
    found = {name: set(private_attributes(path)) for name, path in ROOMS.items()}
    used = {name: attributes for name, attributes in found.items() if attributes}
    assert set(used) == {"_sklearn", "_callbacks"}
    assert used["_sklearn"] == {"_validate_params"}
    assert used["_callbacks"] <= {"_skl_callbacks", "_init_callback_context"}


def lines_of_code(node, lines, docstrings):
    """Lines of a node that are neither empty, nor a comment, nor of a docstring."""
    return sum(
        bool(lines[i - 1].strip()) and not lines[i - 1].lstrip().startswith("#")
        for i in range(node[0].lineno, node[-1].end_lineno + 1)
        if i not in docstrings
    )


def docstring_lines(tree):
    for node in ast.walk(tree):
        has_body = isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
        if has_body and ast.get_docstring(node) is not None:
            yield from range(node.body[0].lineno, node.body[0].end_lineno + 1)


# `Rows` has the most: all that a training asks of data, and what it is made of
MOST_METHODS = 34


def test_rooms_classes_and_functions_are_small():
    sizes = {}
    for name, path in ROOMS.items():
        text = path.read_text()
        tree, lines = ast.parse(text), text.splitlines()
        docstrings = set(docstring_lines(tree))
        sizes[name] = lines_of_code(tree.body, lines, docstrings)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert lines_of_code(node.body, lines, docstrings) <= 40, node.name
            if isinstance(node, ast.ClassDef):
                methods = [
                    entry for entry in node.body if isinstance(entry, ast.FunctionDef)
                ]
                assert len(methods) <= MOST_METHODS, node.name
    assert max(sizes.values()) < 0.2 * sum(sizes.values())


def public():
    names = [*skmlp.__all__, *(f"inspection.{name}" for name in skmlp.inspection.__all__)]
    names += [f"preprocessing.{name}" for name in skmlp.preprocessing.__all__]
    if find_spec("dask"):
        names += [f"dask.{name}" for name in skmlp.dask.__all__]
    for name in names:
        yield f"skmlp.{name}"
        found = operator.attrgetter(name)(skmlp)
        for method, value in inspect.getmembers(found, callable):
            # scikit-learn's own methods have its docstrings, and so has what stands for one
            room = str(getattr(value, "__module__", ""))
            is_own = room.startswith("skmlp") and room != "skmlp._callbacks"
            if inspect.isclass(found) and is_own and not method.startswith("_"):
                yield f"skmlp.{name}.{method}"


@pytest.mark.parametrize("name", list(public()))
def test_public_names_are_documented(name):
    # style that the linter judges, and sections that not every method needs
    optional = {"GL01", "GL08", "SA01", "EX01", "ES01", "RT02", "RT03", "YD01"}
    if ".Dask" in name and name.count(".") == 2:
        optional.add("PR01")  # the parameters are those of the estimator in memory
    if name.endswith("partial_fit"):
        optional.add("PR02")  # available_if hides the signature from numpydoc
    problems = [
        f"{code} {text}" for code, text in validate(name)["errors"] if code not in optional
    ]
    assert not problems


@pytest.mark.parametrize("name", list(public()))
def test_public_names_have_a_doctest(name):
    value = operator.attrgetter(name.partition(".")[2])(skmlp)
    (test,) = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert test.examples


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
    files = {f"{name.rpartition('.')[2]}.py" for name in ALLOWED} - {"__init__.py"}
    packages = {name for name in files if name not in picture}
    assert packages == {"dask.py", "inspection.py", "_tabular.py"}
    assert "dask/" in picture
    assert "inspection/" in picture
    assert "_tabular/" in picture


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
