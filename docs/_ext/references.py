"""References that Sphinx cannot resolve without a network, and the check of the API pages.

Names of scikit-learn lead to its own pages, by the rule that its addresses follow. Text in
single backticks is code, and a link where it names something of this package.
"""

from importlib import import_module
from inspect import isclass

from docutils import nodes
from sphinx.roles import XRefRole
from sphinx.util import logging

logger = logging.getLogger(__name__)

PUBLIC_MODULES = ["skmlp", "skmlp.dask", "skmlp.inspection", "skmlp.onnx"]
SKLEARN = "https://scikit-learn.org/stable/"
SKLEARN_LABELS = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "auto_examples/miscellaneous/plot_set_output.html",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "r2_score": "modules/model_evaluation.html#r2-score",
    "scoring_parameter": "modules/model_evaluation.html#scoring-parameter",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}


class NameOrCode(XRefRole):
    """The default role: a link where the text is a name of the package, else code."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        refnode["is_name_or_code"] = True
        refnode["refdomain"], refnode["reftype"] = "py", "obj"
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target


def resolve(app, env, node, contnode):
    """What is left when Sphinx has looked among the pages of this site."""
    target = node["reftarget"]
    if node["refdomain"] == "std" and target in SKLEARN_LABELS:
        return _link(SKLEARN + SKLEARN_LABELS[target], contnode)
    if node["refdomain"] == "py":
        if target.startswith("sklearn."):
            return _link(f"{SKLEARN}modules/generated/{target}.html", contnode)
        name = f"skmlp.{target}"  # modules of the package name what is at its top
        objects = env.get_domain("py")
        if name in objects.objects:
            return objects.resolve_xref(
                env, node["refdoc"], app.builder, "obj", name, node, contnode
            )
    if node.get("is_name_or_code"):
        return nodes.literal("", contnode.astext())
    return None


def _link(address, contnode):
    return nodes.reference("", "", contnode, internal=False, refuri=address)


def check_public_names(app, env):
    """Every public name is on a page; a warning, and so the end of a strict build."""
    documented = {name for name, *_ in env.get_domain("py").get_objects()}
    for name in sorted(public_names() - documented):
        logger.warning("public, but on no page of the API reference: %s", name)


def public_names():
    """The modules, what they define, and the public methods of their classes."""
    found = set()
    for module_name in PUBLIC_MODULES:
        module = import_module(module_name)
        found.add(module_name)
        for name, value in vars(module).items():
            is_own = getattr(value, "__module__", "").split(".")[0] == "skmlp"
            is_exported = name in getattr(module, "__all__", [])
            is_defined_here = getattr(value, "__module__", None) == module_name
            if name.startswith("_") or not (is_exported or (is_own and is_defined_here)):
                continue
            found.add(f"{module_name}.{name}")
            found.update(
                f"{module_name}.{name}.{method}"
                for method, member in (vars(value) if isclass(value) else {}).items()
                if not method.startswith("_") and callable(member)
            )
    return found


def setup(app):
    app.add_role("name-or-code", NameOrCode())
    app.connect("missing-reference", resolve)
    app.connect("env-check-consistency", check_public_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
