"""Draw the pictures of the derivation: python docs/derivation/draw.py [directory].

The SVG files are put into the page as they are, so that ink takes the page's text colour,
dark or light; the two other colours keep their contrast on both.
"""

import re
import sys
from itertools import pairwise
from math import exp
from pathlib import Path

FORWARD, BACKWARD = "#2E86C8", "#D55E00"
HEADS = {"forward": FORWARD, "backward": BACKWARD, "plain": "currentColor"}
# Signs that look like others, by name: ``{minus}`` in the markup of `text`
SIGNS = {
    "loss": "\N{SCRIPT CAPITAL L}",
    "minus": "\N{MINUS SIGN}",
    "prime": "\N{PRIME}",
    "sigma": "\N{GREEK SMALL LETTER SIGMA}",
    "top": "\N{DOWN TACK}",
}
SERIF = "'STIX Two Text', 'Latin Modern Roman', 'Times New Roman', Tinos, serif"


def svg(name, width, height, description, shapes):
    """A picture; its arrow heads are named after it, since a page holds several."""
    heads = "".join(
        f'<marker id="{name}-{kind}" viewBox="0 0 10 10" refX="9" refY="5" '
        f'markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
        for kind, colour in HEADS.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{description}" '
        f'style="width: 100%; max-width: {width}px; height: auto" '
        f'font-family="{SERIF}" font-size="22">\n'
        f"<defs>{heads}</defs>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def text(x, y, markup, colour="currentColor", anchor="middle", size=22):
    """Mathematics: letters italic, ``*x*`` bold, ``{x}`` upright; ``_`` and ``^`` shift."""
    spans, shift = [], 0
    tokens = r"([_^]?)(\*[^*]+\*|\{[^}]*\}|[A-Za-zφ]+|(?<=[_^]).|[^A-Za-zφ_^*{]+)"
    for mark, word in re.findall(tokens, markup):
        style = ' font-style="italic"' if re.fullmatch("[A-Za-zφ]+", word) else ""
        style += ' font-weight="bold"' if word[0] == "*" else ""
        target = {"": 0, "_": 0.25, "^": -0.4}[mark] * size
        style += f' font-size="{0.7 * size:g}"' if mark else ""
        style += f' dy="{target - shift:g}"' if target != shift else ""
        plain = word.strip("*{}")
        spans.append(f"<tspan{style}>{SIGNS.get(plain, plain)}</tspan>")
        shift = target
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}" '
        f'font-size="{size}" style="white-space: pre">{"".join(spans)}</text>'
    )


def line(start, end, colour="currentColor", width=1.0, head="", extra=""):
    marker = f' marker-end="url(#{head})"' if head else ""
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
        f'stroke-width="{width:g}"{marker}{extra}/>'
    )


def box(x, y, width, height, colour="currentColor"):
    return (
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width}" '
        f'height="{height}" rx="8" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    )


def between(start, end, radius):
    """The ends of a line from the rim of one circle to the rim of another."""
    (x1, y1), (x2, y2) = start, end
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = radius * (x2 - x1) / length, radius * (y2 - y1) / length
    return (x1 + dx, y1 + dy), (x2 - dx, y2 - dy)


def draw_net():
    """The units of one row: x, h, y, with one weight of each layer picked out."""
    shapes, radius = [], 22
    layers = [
        (60, [80, 185, 290], ["x_1", "x_m", "x_d"], "*x*"),
        (280, [120, 240], ["h_1", "h_j"], "*h* = {sigma}(*xW* + *b*)"),
        (510, [80, 185, 290], ["y_1", "y_k", "y_K"], "*y* = {softmax}(*hV* + *d*)"),
    ]
    picked = [1, 1, 1]
    for which, (left, right) in enumerate(pairwise(layers)):
        for i, y1 in enumerate(left[1]):
            for j, y2 in enumerate(right[1]):
                ends = between((left[0], y1), (right[0], y2), radius)
                if (i, j) == (picked[which], picked[which + 1]):
                    shapes.append(line(*ends, FORWARD, 2.4, "net-forward"))
                else:
                    shapes.append(line(*ends, extra=' stroke-opacity="0.35"'))
    for x, ys, names, caption in layers:
        for y, name in zip(ys, names, strict=True):
            shapes.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" ')
            shapes[-1] += 'stroke="currentColor" stroke-width="1.6"/>'
            shapes.append(text(x, y + 6, name))
        shapes.append(text(x, 352, caption))
    shapes.append(text(690, 352, "{loss} = {minus}*t* · {log} *y*"))
    gaps = [(60, 139), (60, 244), (280, 187), (510, 139), (510, 244)]
    shapes += [text(x, y, "⋮") for x, y in gaps]
    shapes += [
        line((92, 26), (248, 26), FORWARD, 2, "net-forward"),
        text(170, 16, "*W*, *b*", FORWARD),
        line((312, 26), (478, 26), FORWARD, 2, "net-forward"),
        text(395, 16, "*V*, *d*", FORWARD),
        line((542, 26), (638, 26), FORWARD, 2, "net-forward"),
        text(590, 16, "*t*", FORWARD),
        text(60, 33, "*x*"),
        text(280, 33, "*h*"),
        text(510, 33, "*y*"),
        text(662, 33, "{loss}"),
        text(170, 244, "W_mj", FORWARD),
        text(395, 246, "V_jk", FORWARD),
    ]
    return svg(
        "net",
        770,
        372,
        "The network for one row: features x, through W and b, to hidden units h; "
        "through V and d to probabilities y; with the target t to the loss. "
        "One weight of each layer is picked out: "
        "W_mj from x_m to h_j, and V_jk from h_j to y_k.",
        shapes,
    )


def draw_delta():
    """Two hidden layers: outputs above, residuals below, gradients at the bottom."""
    top, middle, bottom = 60, 185, 310
    columns = [70, 270, 470, 670]
    residuals = ["*δ*_1", "*δ*_2", "*δ*_3 = *Y* {minus} *T*"]
    widths = [96, 96, 128]
    forward = (FORWARD, 2, "delta-forward")
    backward = (BACKWARD, 2, "delta-backward")
    used = ("currentColor", 1.2, "delta-plain", ' stroke-dasharray="5 4"')
    shapes = []
    for x, name in zip(columns, ["*X* = *h*_0", "*h*_1", "*h*_2", "*Z*"], strict=True):
        shapes += [box(x, top, 96, 44), text(x, top + 7, name)]
    for layer, (left, right) in enumerate(pairwise(columns), start=1):
        residual, width = residuals[layer - 1], widths[layer - 1]
        weights = f"{{d}}*W*_{layer} = *h*_{layer - 1}^{{top}}*δ*_{layer}"
        biases = f"{{d}}*b*_{layer} = *1*^{{top}}*δ*_{layer}"
        shapes += [
            line((left + 50, top), (right - 52, top), *forward),
            text((left + right) / 2, top - 12, f"*W*_{layer}, *b*_{layer}", FORWARD),
            box(right, middle, width, 44, BACKWARD),
            text(right, middle + 7, residual, BACKWARD),
            line((right, middle + 24), (right, bottom - 30), *backward),
            line((left + 30, top + 24), (right - 62, bottom - 28), *used),
            text(right, bottom, weights),
            text(right, bottom + 32, biases),
        ]
    for layer, (left, right) in enumerate(pairwise(columns[1:]), start=1):
        start = right - widths[layer] / 2 - 2
        shapes += [
            line((start, middle), (left + 52, middle), *backward),
            text(left + 112, middle - 12, f"*W*_{layer + 1}^{{top}}", BACKWARD),
            line((left, top + 24), (left, middle - 26), *used),
            text(left - 8, 135, f"⊙ φ{{prime}}(*h*_{layer})", anchor="end", size=20),
        ]
    shapes.append(line((columns[-1], top + 24), (columns[-1], middle - 26), *backward))
    shapes.append(text(columns[-1] - 8, 135, "{minus} *T*", BACKWARD, anchor="end"))
    return svg(
        "delta",
        740,
        355,
        "Forward, from left to right: X through W_1, b_1 to h_1, through W_2, b_2 to h_2, "
        "through W_3, b_3 to the logits Z. Backward, from right to left: the residual "
        "Y - T is delta_3; times W_3 transposed and the slope at h_2 it becomes delta_2; "
        "times W_2 transposed and the slope at h_1, delta_1. Below, each delta_l with the "
        "h of the layer before it gives dW_l = h_(l-1) transposed times delta_l, and db_l, "
        "its column sums.",
        shapes,
    )


def draw_sigmoid():
    """The sigmoid and its derivative."""
    left, right, zero, one = 60, 660, 260, 40
    points = [i / 10 for i in range(-60, 61)]

    def at(z, value):
        return (left + right) / 2 + 50 * z, zero - (zero - one) * value

    def curve(function, colour, dashes=""):
        path = " ".join("{:.1f},{:.1f}".format(*at(z, function(z))) for z in points)
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="3"{dashes}/>'
        )

    def sigmoid(z):
        return 1 / (1 + exp(-z))

    def slope(z):
        return sigmoid(z) * (1 - sigmoid(z))

    faint = ' stroke-opacity="0.35"'
    shapes = [line((left, zero), (right, zero)), line(at(0, 0), at(0, 1.08))]
    shapes += [line(at(-6, value), at(6, value), extra=faint) for value in (0.25, 0.5, 1)]
    for z in (-6, -4, -2, 0, 2, 4, 6):
        x, y = at(z, 0)
        shapes += [
            line((x, y), (x, y + 6)),
            text(x, y + 28, f"{z}".replace("-", "{minus}")),
        ]
    for value, name in [(0, "0"), (0.25, "¼"), (0.5, "½"), (1, "1")]:
        x, y = at(-6, value)
        shapes.append(text(x - 10, y + 7, f"{{{name}}}", anchor="end"))
    shapes += [
        curve(sigmoid, FORWARD),
        curve(slope, BACKWARD, ' stroke-dasharray="9 5"'),
        text(*at(2.2, 0.72), "h = {sigma}(z)", FORWARD, anchor="start"),
        text(
            *at(2.2, 0.14), "{sigma}{prime}(z) = h (1 {minus} h)", BACKWARD, anchor="start"
        ),
        text(right + 24, zero + 6, "z"),
    ]
    return svg(
        "sigmoid",
        700,
        300,
        "The sigmoid rises from 0 to 1 and is one half at z = 0; its derivative is a bell, "
        "one quarter at z = 0 and close to nothing beyond z = 6 on either side.",
        shapes,
    )


PICTURES = {"net.svg": draw_net, "delta.svg": draw_delta, "sigmoid.svg": draw_sigmoid}

if __name__ == "__main__":
    here = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, draw in PICTURES.items():
        (here / name).write_text(draw(), encoding="utf-8")
