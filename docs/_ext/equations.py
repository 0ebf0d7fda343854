r"""Equations with numbers of their own, ``\tag{...}``, that take several lines.

Sphinx wraps several lines into ``split``, where MathJax allows no tag; those with a tag are
handed to MathJax as they are.
"""

from docutils import nodes


def leave_tagged_alone(app, doctree):
    for node in doctree.findall(nodes.math_block):
        text = node.astext()
        if r"\tag" in text and not node.get("no-wrap", node.get("nowrap")):
            node["no-wrap"] = True
            node.children = [nodes.Text(rf"\[{text}\]")]


def setup(app):
    app.connect("doctree-read", leave_tagged_alone)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
