"""The site: `python -m sphinx -W docs docs/_build/html`."""

import sys
from pathlib import Path

import skmlp

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skmlp"
author = "The skmlp developers"
copyright = author
version = release = skmlp.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "blocks",
    "references",
]
nitpicky = True
default_role = "name-or-code"
exclude_patterns = ["_build", "examples"]

# Pages in Markdown
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The reference: what numpydoc calls an error is one, but for what not every method needs
toc_object_entries_show_parents = "hide"
autodoc_member_order = "groupwise"
numpydoc_class_members_toctree = False
optional = {"GL01", "GL08", "SA01", "EX01", "ES01", "RT02", "RT03", "YD01"}
numpydoc_validation_checks = {"all", *optional}
numpydoc_validation_overrides = {"PR01": ["It has the constructor of"]}
numpydoc_show_inherited_class_members = {
    "skmlp.dask.DaskMLPClassifierManual": False,
    "skmlp.dask.DaskMLPRegressorManual": False,
}

# The gallery runs every docs/examples/plot_*.py
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "gallery_runs.start_afresh"),
    "reset_argv": "gallery_runs.figure_path",
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
}

html_context = {"default_mode": "auto"}
html_theme = "pydata_sphinx_theme"
html_title = f"skmlp {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {  # pages without pages below them
    page: []
    for page in (
        "coming_from_mlpclassifier",
        "coming_from_mlpregressor",
        "derivation",
        "contributing",
    )
}
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 8,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "search_bar_text": "Search",
}
