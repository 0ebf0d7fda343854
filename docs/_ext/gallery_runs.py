"""How the gallery runs the examples: each afresh, nothing written beside the sources."""

import os
import warnings
from pathlib import Path

import sklearn
from sklearn.exceptions import ConvergenceWarning


def start_afresh(gallery_conf, path):
    """No setting of one example reaches the next; what warns of bad numbers is an error."""
    sklearn.set_config(enable_metadata_routing=False, transform_output="default")
    for category in (ConvergenceWarning, RuntimeWarning):
        warnings.simplefilter("error", category)


def figure_path(gallery_conf, script_vars):
    """The command line of an example: where to write the figure that a script saves."""
    example = Path(script_vars["src_file"])
    figures = Path(gallery_conf["src_dir"]) / "_build" / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    name = example.stem.removeprefix("plot_") + ".png"
    return [os.path.relpath(figures / name, example.parent)]
