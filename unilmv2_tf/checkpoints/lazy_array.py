"""Arrays in files, read when they are wanted and not kept."""

import math

import numpy as np


class LazyArray:
    """An array whose shape is known, and whose values are read on demand.

    A large checkpoint is converted tensor by tensor, so that it is never in
    memory as a whole. NumPy's functions take it for an array; each use reads
    it anew.

    Args:
        shape: tuple of ints.
        dtype: numpy dtype or its name.
        read: function without arguments that returns the numpy array.
        stream: function of a number of rows that iterates over the array in
            pieces of so many rows. Defaults to `None`: it is read as a whole.

    Example:

    >>> lazy = LazyArray((3, 2), "int32", lambda: np.arange(6).reshape(3, 2))
    >>> lazy.shape, lazy.nbytes
    ((3, 2), 24)
    >>> np.asarray(lazy[1:]).tolist()
    [[2, 3], [4, 5]]
    """

    def __init__(self, shape, dtype, read, stream=None):
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self._read = read
        self._stream = stream

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    def __array__(self, dtype=None, copy=None):
        values = self._read()
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        return values.copy() if copy else values

    def chunks(self, max_bytes=2**22):
        """Reads the array in pieces along its first axis.

        Args:
            max_bytes: int. The size of a piece, at least one row. Defaults to
                `2**22`.

        Yields:
            NumPy arrays, which together are the array.
        """
        if self._stream is None or self.nbytes <= max_bytes or not self.ndim:
            yield self._read()
            return
        row_bytes = self.nbytes // self.shape[0]
        yield from self._stream(max(1, max_bytes // row_bytes))

    def map(self, function):
        """Applies a function to whatever is read.

        Args:
            function: of a NumPy array, to one of the same shape and dtype. It
                may see the array in pieces.

        Returns:
            A `LazyArray`.
        """
        stream = self._stream and (
            lambda rows: map(function, self._stream(rows))
        )
        return LazyArray(
            self.shape, self.dtype, lambda: function(self._read()), stream
        )

    def __getitem__(self, rows):
        """Takes a slice of the first axis.

        Args:
            rows: slice.

        Returns:
            A `LazyArray`.
        """
        num_rows = len(range(*rows.indices(self.shape[0])))
        return LazyArray(
            (num_rows, *self.shape[1:]), self.dtype, lambda: self._read()[rows]
        )

    def reshape(self, *shape):
        """Gives it another shape.

        Args:
            *shape: ints, of which one may be -1.

        Returns:
            A `LazyArray`.
        """
        known = math.prod(size for size in shape if size != -1)
        full = tuple(
            self.size // known if size == -1 else size for size in shape
        )
        return LazyArray(full, self.dtype, lambda: self._read().reshape(full))
