"""
A file that is read in batches
==============================

``partial_fit`` trains for one epoch over the rows of a call, so data of any size can be
read in batches, of a CSV file here (``pyarrow.parquet.ParquetFile.iter_batches`` does it
for Parquet). The scaler learns in a first pass; then each pass over the file is an epoch,
and progress is reported.

Run as a script, it writes the digits to a CSV file, trains from the file, and draws the
loss of each batch to ``stream.png``, or to the file named on the command line.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from skmlp import LossCurveDisplay, MLPClassifierManual

digits = load_digits(as_frame=True).frame.sample(frac=1, random_state=0)
directory = tempfile.TemporaryDirectory()
path = Path(directory.name) / "digits.csv"
digits[:1400].to_csv(path, index=False)
test = digits[1400:]


def batches():
    """Features and labels of 200 rows at a time: all that is in memory at once."""
    for frame in pd.read_csv(path, chunksize=200):
        yield frame.drop(columns="target"), frame["target"]


# %%
# One pass for the scaler, and thirty for the network. Its loss is the mean over the batch
# just seen, before each of the steps that it takes.

scaler = StandardScaler()
for X, _ in batches():
    scaler.partial_fit(X)

n_epochs = 30
model = MLPClassifierManual(
    50,
    solver="adam",
    batch_size=50,
    learning_rate_init=0.01,
    max_iter=n_epochs * 7,
    random_state=0,
)
for epoch in range(n_epochs):
    for X, y in batches():
        model.partial_fit(scaler.transform(X), y, classes=np.arange(10))
    if epoch % 5 == 4:
        rows = f"{model.t_:,} rows"
        print(f"epoch {epoch + 1:2d}: {rows} so far, loss {model.loss_:.4f}")

accuracy = model.score(scaler.transform(test.drop(columns="target")), test["target"])
print(f"accuracy on {len(test)} other rows: {accuracy:.3f}")

# %%
# The curve has a value for every call, here 7 an epoch.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
LossCurveDisplay.from_estimator(model, ax=ax, name="loss of a batch", log_scale=True)
ax.set(xlabel="batch of 200 rows", title=f"{n_epochs} passes over a CSV file")

if __name__ == "__main__":
    output = sys.argv[1] if len(sys.argv) > 1 else "stream.png"
    figure.savefig(output, dpi=120)
    print(f"figure: {output}")

directory.cleanup()
