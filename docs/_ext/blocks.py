r"""Blocks of Markdown that Sphinx would render badly.

- Equations with a number of their own, ``\tag{...}``, that take several lines: Sphinx wraps
  the lines into ``split``, where MathJax allows no tag. MathJax gets these as they are.
- Code that ends in an empty line, as doctest needs it after expected output.
"""

from docutils import nodes


def tidy(app, doctree):
    for node in doctree.findall(nodes.math_block):
        if r"\tag" in node.astext() and not node.get("no-wrap", node.get("nowrap")):
            node["no-wrap"] = True
            node.children = [nodes.Text(rf"\[{node.astext()}\]")]
    for node in doctree.findall(nodes.literal_block):
        if node.astext().endswith("\n") and node.rawsource == node.astext():
            node.rawsource = node.astext().rstrip("\n")
            node.children = [nodes.Text(node.rawsource)]


def setup(app):
    app.connect("doctree-read", tidy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
