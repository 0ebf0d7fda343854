"""
Where a fit ends
================

Does a fit end in a minimum? The eigenvalues of the Hessian matrix say it: at a minimum
none is negative. Here they are computed for two moons at three ends of the same training:
that of the defaults, that of a fit which goes on for longer, and that of Newton's method.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.metrics import log_loss

from skmlp import MLPClassifierManual
from skmlp.inspection import loss_curvature

X, y = make_moons(400, noise=0.2, random_state=0)
X_test, y_test = make_moons(4000, noise=0.2, random_state=1)

# %%
# ``lbfgs`` stops where the loss has hardly fallen for ten iterations, which is a decision
# about usefulness, not about mathematics. ``newton-cg`` multiplies vectors by the Hessian,
# and goes on to the last digit with little more patience.

settings = {"alpha": 0.1, "random_state": 0}
models = {
    "lbfgs": MLPClassifierManual(**settings),
    "lbfgs, tol=1e-8": MLPClassifierManual(
        solver="lbfgs", tol=1e-8, max_iter=10_000, **settings
    ),
    "newton-cg, tol=1e-10": MLPClassifierManual(
        solver="newton-cg", tol=1e-10, max_iter=1000, **settings
    ),
}
curvatures = {}
for name, model in models.items():
    model.fit(X, y)
    curvature = loss_curvature(model, X, y, n_eigenvalues=502)
    curvatures[name] = curvature
    print(
        f"{name:21} {model.n_iter_:4d} iterations  loss {curvature.loss:.6f}  "
        f"gradient {curvature.gradient_norm:.0e}  {curvature.kind:8} "
        f"smallest eigenvalue {curvature.smallest[0]:9.1e}  "
        f"held-out loss {log_loss(y_test, model.predict_proba(X_test)):.4f}"
    )

# %%
# The default fit ends at a place where the objective still bends down in many
# directions, but hardly falls: a plateau that its stopping rule takes for good enough, and
# the held-out loss agrees. With a small ``tol`` L-BFGS comes as near to a minimum as makes
# no difference: two eigenvalues are still negative, by 1e-8. Newton's method ends in a
# minimum, with a gradient of rounding. (``kind`` allows for 1e-7 of the largest
# eigenvalue.) One eigenvalue there is zero: probabilities do not change if both output
# biases grow alike.
#
# All but some ten of the 502 eigenvalues are of the size of alpha / n, which is what the
# penalty alone gives to a weight: some hundred are just that, and others lie on steps above
# and below it, a hundred units at a time that end alike. In these directions the data say
# next to nothing. How many parameters they do determine is in the titles: counted by the
# Gauss-Newton matrix, in which no direction bends down.

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
for ax, (name, curvature) in zip(axes, curvatures.items(), strict=True):
    eigenvalues = curvature.largest
    number = np.arange(1, len(eigenvalues) + 1)
    for sign, colour, label in ((1, "tab:blue", "positive"), (-1, "tab:red", "negative")):
        shown = sign * eigenvalues > 1e-12
        ax.scatter(number[shown], sign * eigenvalues[shown], 6, colour, label=label)
    ax.axhline(curvature.of_penalty, color="black", lw=0.8, ls="--", label="alpha / n")
    ax.set_title(
        f"{name}\n{curvature.kind}, "
        f"{curvature.effective_n_parameters:.1f} of {curvature.n_parameters} parameters",
        fontsize=10,
    )
    ax.set(yscale="log", xlabel="number of the eigenvalue")
axes[0].set_ylabel("size of the eigenvalue")
axes[0].legend(loc="upper right", fontsize=9)

plt.show()
