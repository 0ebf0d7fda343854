"""Names in pictures: as they are, and in the place that they have."""

from textwrap import wrap

# What a text needs so that a dollar sign, a backslash or a brace is no more than that
VERBATIM = {"parse_math": False, "usetex": False}
# Lines of a name, and letters of a line, where there is place for them
MOST_LINES = 4
_FEWEST_LETTERS = 12
# Of the width of the axes, what names may take if each letter is as wide as it is high
_SHARE = 0.9
# Height of a line, in units of the size of its font
LINE_HEIGHT = 1.4
_GAP = "\N{HORIZONTAL ELLIPSIS}"


def place_for(ax, n_names, font_size):
    """Letters of a line, and lines, that are there for each of some names.

    Parameters
    ----------
    ax : matplotlib Axes
    n_names : int
        They are one below the other.
    font_size : float
        In points.

    Returns
    -------
    n_letters, n_lines : int
    """
    # where the layout has put the axes may depend on the names of another picture
    spec, figure = ax.get_subplotspec(), ax.figure
    box = ax.get_position() if spec is None else spec.get_position(figure)
    width, height = (
        share * pixels * 72 / figure.dpi / font_size
        for share, pixels in zip(box.size, figure.bbox.size, strict=True)
    )
    n_lines = min(round(height / n_names / LINE_HEIGHT), MOST_LINES)
    return max(int(_SHARE * width), _FEWEST_LETTERS), max(n_lines, 1)


def fold(name, n_letters, n_lines, end=""):
    """A name in lines; if there are too few of them, without its middle.

    Parameters
    ----------
    name : str
    n_letters, n_lines : int
    end : str, default=""
        What follows in any case.

    Returns
    -------
    text : str
    """
    if len(name) + len(end) <= n_letters:
        return name + end
    # spaces that no line ends at keep the end together
    end = " " + end.strip().replace(" ", "\N{NO-BREAK SPACE}")
    for n_kept in range(min(len(name), n_letters * n_lines), 0, -1):
        lines = wrap(_without_middle(name, n_kept) + end, n_letters, break_on_hyphens=False)
        if len(lines) <= n_lines:
            break
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _without_middle(name, n_kept):
    """The first and the last letters of a name, which tell it from its neighbours."""
    if n_kept >= len(name):
        return name
    half = n_kept // 2
    return name[: n_kept - half] + _GAP + name[len(name) - half :]
