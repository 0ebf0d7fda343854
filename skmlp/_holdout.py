"""Rows to hold out: the validation set of early stopping, and folds to choose alpha on."""

from typing import NamedTuple

import numpy as np

from skmlp._repeats import distinct
from skmlp._warnings import warn

# Observations that are told apart, if there are no more rows: of more, some stay together
_MOST_LOTS = 1_000_000


class Lots(NamedTuple):
    """What goes to one side as a whole: an observation, all copies of a row, or a group.

    Lots that are alike, as equal observations are, make an entry; each row has its place
    among the lots of an entry, so that rows which are several of them can be divided.

    Attributes
    ----------
    entry : ndarray of shape (n,) of int
        Of each row.
    start, end : ndarray of shape (n,)
        The row's place among the lots of its entry, in lots.
    count : ndarray of shape (E,) of int
        Lots of each entry.
    weight : ndarray of shape (E,)
        Of each of its lots.
    n_rows : ndarray of shape (E,) of int
        Rows that are in one lot together: 1 if there are several lots.
    stratum : ndarray of shape (E,) of int
        The class that the entry is dealt out with.
    are_groups : bool
    """

    entry: np.ndarray
    start: np.ndarray
    end: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    n_rows: np.ndarray
    stratum: np.ndarray
    are_groups: bool = False

    @property
    def entries(self):
        """Number of the entry of each lot."""
        return np.repeat(np.arange(len(self.count)), self.count)

    def shares(self, lots, are_last=False):
        """Share of each row's weight that is in some of the lots, of shape (n,).

        Equal lots can stand in for one another: of each entry the first are taken, or the
        last.

        Parameters
        ----------
        lots : ndarray of bool
        are_last : bool, default=False
        """
        taken = np.bincount(self.entries, lots, len(self.count))[self.entry]
        start, end = self.start, self.end
        if are_last:
            n_lots = self.count[self.entry]
            start, end = n_lots - end, n_lots - start
        return np.clip((taken - start) / (end - start), 0.0, 1.0)

    def by_stratum(self, random_state):
        """Numbers of the lots of each stratum, shuffled."""
        stratum = self.stratum[self.entries]
        ends = np.cumsum(np.unique(stratum, return_counts=True)[1])
        lots = np.split(np.argsort(stratum, kind="stable"), ends[:-1])
        return list(map(random_state.permutation, lots))


def lots_of_observations(prints, k, weight, weight_of_one):
    """Each observation is a lot; a row that weighs as much as several may be divided.

    Parameters
    ----------
    prints : ndarray of shape (n,)
        Equal for equal rows of one class.
    k : ndarray of shape (n,) of int
        Class of each row.
    weight : ndarray of shape (n,)
    weight_of_one : float or None
        Weight of an observation; None if each row is one.

    Returns
    -------
    lots : Lots
    """
    if weight_of_one is None:
        order = np.lexsort((weight, prints))  # whatever the order of the rows
        entry = np.empty(len(order), int)
        entry[order] = np.arange(len(order))
        return _whole(entry, k[order], weight[order])
    first, entry, entry_weight = distinct(prints, weight)
    n_lots = entry_weight / weight_of_one
    n_lots *= min(1.0, max(_MOST_LOTS, len(entry)) / n_lots.sum())
    n_lots = np.maximum(np.rint(n_lots), 1).astype(int)
    lot_weight = entry_weight / n_lots
    start, end = _places(entry, weight, lot_weight)
    n_rows = np.where(n_lots == 1, np.bincount(entry), 1)
    return Lots(entry, start, end, n_lots, lot_weight, n_rows, k[first])


def lots_of_copies(cells, prints, k, weight):
    """All rows with equal features are a lot; it is dealt out with its rarest class."""
    first, entry, entry_weight = distinct(prints, weight)
    of_cells, cell = np.unique(cells[first], return_index=True, return_inverse=True)[1:]
    if len(of_cells) == len(first):  # no cell has several labels
        return _whole(entry, k[first], entry_weight)
    entry = np.argsort(np.argsort(of_cells))[cell[entry]]
    return _whole(entry, _rarest(entry, k, weight), np.bincount(entry, weight))


def lots_of_groups(groups, k, weight):
    """All rows of a group are a lot, dealt out with its rarest class.

    Unless all such classes have one group: then there is one stratum.
    """
    _, entry = np.unique(groups, return_inverse=True)
    stratum = _rarest(entry, k, weight)
    if np.bincount(stratum).max() == 1:
        stratum = np.zeros_like(stratum)
    lots = _whole(entry, stratum, np.bincount(entry, weight))
    return lots._replace(are_groups=True)


def _whole(entry, stratum, entry_weight):
    """Lots with an entry of their own."""
    start, end = np.zeros(len(entry)), np.ones(len(entry))
    n_rows = np.bincount(entry)
    return Lots(entry, start, end, np.ones_like(n_rows), entry_weight, n_rows, stratum)


def _rarest(entry, k, weight):
    """Of the classes in each entry, the one with the least weight in all."""
    rank = np.argsort(np.argsort(np.bincount(k, weight), kind="stable"))
    lowest = np.full(entry.max() + 1, len(rank))
    np.minimum.at(lowest, entry, rank[k])
    return np.argsort(rank)[lowest]


def _places(entry, weight, lot_weight):
    """Where each row begins and ends among the lots of its entry."""
    order = np.argsort(entry, kind="stable")
    ends = np.cumsum(weight[order] / lot_weight[entry[order]])
    starts = np.concatenate([[0.0], ends[:-1]])
    firsts = np.searchsorted(entry[order], np.arange(len(lot_weight)))
    base = starts[firsts][entry[order]]
    start, end = np.empty(len(entry)), np.empty(len(entry))
    # a sum of weights has a rounding error, and a row that is one lot is not to be divided
    start[order], end[order] = np.round(starts - base, 6), np.round(ends - base, 6)
    return start, np.maximum(end, start + 1e-6)


def hold_out(lots, *, names, fraction, seed):
    """Draw lots to hold out: of each class, at least `fraction` of its weight.

    What is drawn depends neither on the order of the rows nor on how they are stored: a row
    of weight w and w equal rows give the same split. Equal rows are held out one by one if
    they are observations; copies of a row are on one side, so that none leaks into the
    validation set. Of each class at least one lot goes to either set; if all its rows are
    copies of one, that goes to both. (Rows of a group never do.)

    Parameters
    ----------
    lots : Lots
    names : ndarray of shape (K,) or None
        Names of the classes; None if the rows are of no class.
    fraction : float in (0, 1)
    seed : int

    Returns
    -------
    train, held_out : ndarray of bool
        Of the lots.

    Warns
    -----
    UserWarning
        If a class has a single row, which is trained on, or if the fraction is so small
        that one row would be held out: then there are two.

    Raises
    ------
    ValueError
        If there are too few rows to hold out two.
    """
    entries = lots.entries
    n_rows, weight, stratum = lots.n_rows[entries], lots.weight[entries], lots.stratum
    train, held_out = np.zeros((2, len(entries)), bool)
    spare, single = [], []
    for drawn in lots.by_stratum(np.random.RandomState(seed)):
        if len(drawn) == 1:
            (only,) = drawn
            train[only] = True
            has_copies = n_rows[only] > 1 or weight[only] >= 2
            held_out[only] = has_copies and not lots.are_groups
            single.extend(drawn[~held_out[drawn]])
        else:
            share = np.cumsum(weight[drawn]) / weight[drawn].sum()
            cut = np.searchsorted(share[:-2], fraction * (1 - 1e-12)) + 1
            held_out[drawn[:cut]] = True
            train[drawn[cut:]] = True
            spare.append(drawn[cut:-1])
    is_small = max(n_rows[held_out].sum(), weight[held_out].sum()) < 2
    spare = max(spare, key=len, default=[])
    if is_small and (not held_out.any() or len(spare) == 0):
        raise ValueError(
            f"The validation set would be too small: of {len(lots.entry)} samples, early "
            "stopping can't hold out 2 and have one of each class left. Add samples, or "
            "set early_stopping=False."
        )
    if single and names is not None and not lots.are_groups:
        warn(
            "The validation set of early stopping has no sample of class "
            f"{names[stratum[entries[single]]]}, of which there is only 1: it is trained "
            "on. A scorer that needs all classes can't be used."
        )
    if is_small:
        warn(
            f"validation_fraction={fraction} of {len(lots.entry)} samples would be 1 to "
            "hold out: there are 2. Increase validation_fraction."
        )
        held_out[spare[0]] = True
        train[spare[0]] = False
    return train, held_out


def folds(lots, *, n_folds, seed):
    """Deal the lots out to folds, of about equal weight in each class.

    Groups, which may be few and of any size, go to the lightest fold instead, the largest
    first, and there are no more folds than groups.

    Parameters
    ----------
    lots : Lots
    n_folds : int
    seed : int

    Returns
    -------
    fold : ndarray of int
        In 0, ..., n_folds - 1, of each lot.
    """
    weight = lots.weight[lots.entries]
    random_state = np.random.RandomState(seed)
    by_stratum = lots.by_stratum(random_state)
    if lots.are_groups:
        return _deal_out(np.concatenate(by_stratum), weight, n_folds)
    fold = np.empty(len(weight), int)
    for drawn in by_stratum:
        middles = np.cumsum(weight[drawn]) - weight[drawn] / 2
        places = n_folds * middles / weight[drawn].sum()
        if len(drawn) < n_folds:  # else few lots would always be in the same folds
            places += n_folds * random_state.uniform()
        fold[drawn] = places.astype(int) % n_folds
    return fold


def _deal_out(drawn, weight, n_folds):
    """Give each lot to the fold that is the lightest by then; fold 0 is so at the end."""
    fold, sums = np.empty(len(drawn), int), np.zeros(min(n_folds, len(drawn)))
    for lot in drawn[np.argsort(-weight[drawn], kind="stable")]:
        fold[lot] = np.argmin(sums)
        sums[fold[lot]] += weight[lot]
    return np.argsort(np.argsort(sums))[fold]
