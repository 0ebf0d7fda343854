"""Rows of features that are made of others whenever they are read.

A table of a million rows may have ten times as many features as columns. They are made
block by block, where the features of a block stay in cache.
"""

# Bytes of features that some of the rows may take before they are not kept either
MOST_BYTES = 2**29


class Encoded:
    """Rows that are made by a function of parts of rows.

    Parameters
    ----------
    parts : tuple of {ndarray, CSR}
        Each with the n rows.
    make : callable
        ``make(*parts)`` of some rows returns an ndarray of shape (n_some, d).

    Attributes
    ----------
    shape : (int, int)
    ndim : int
    dtype : {float32, float64}
    itemsize, nbytes : int
        Of the features, were they kept.
    """

    ndim = 2

    def __init__(self, parts, make):
        self._parts, self._make = parts, make
        one = make(*(part[:1] for part in parts))
        self.shape = parts[0].shape[0], one.shape[1]
        self.dtype, self.itemsize = one.dtype, one.itemsize
        self.nbytes = self.shape[0] * self.shape[1] * self.itemsize

    def __getitem__(self, rows):
        """Some rows: an ndarray, but of indices or a mask only if there is room for it.

        Or some columns of a slice of rows.
        """
        if isinstance(rows, tuple):
            return self[rows[0]][:, rows[1]]
        parts = [part[rows] for part in self._parts]
        n_bytes = parts[0].shape[0] * self.shape[1] * self.itemsize
        if isinstance(rows, slice) or n_bytes <= MOST_BYTES:
            return self._make(*parts)
        return Encoded(parts, self._make)

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)
