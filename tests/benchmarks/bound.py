"""What a step of training costs at least, counted by hand from the settings.

Counted are the matrix products that the models compute as they are written now, each multiplication
with its addition as two operations: forward, and for the gradient once more for each operand that
has one. A lookup is a product with ones and zeros here and counts as such. Exponentials, norms,
softmaxes, random numbers, the choice of the LSTM's masked place and the optimizer's arithmetic are
*not* counted: all that is elementwise comes on top.

Bytes are those that have to move even if all else stays where it is used: parameters and both
moments read and written, gradients written and read, and of each product the operands that the
gradient needs again and that are no parameters, written once and read once, in single precision. A
tensor that several products read counts once, ones and zeros of a lookup do not count.
"""

from collections.abc import Iterator
from typing import NamedTuple

from semantica_lib.datasets.xor import xor_task
from semantica_lib.settings.xor import Settings

BYTES = 4  # of a number in single precision
OPTIMIZER = 8  # passes: parameter, first and second moment in and out, gradient out and in


class Product(NamedTuple):
    """One product of one trial in a step.

    ``kept`` are the numbers among its operands that the gradient needs again; ``gradients`` says
    how many operands have one; ``summed``, that it is written as a product and a sum even where it
    is long.
    """

    multiply_adds: int
    kept: int = 0
    gradients: int = 2
    summed: bool = False


def operations(own: Settings) -> int:
    """Floating-point operations of a step of one trial, forward and backward."""
    return sum(2 * one.multiply_adds * (1 + one.gradients) for one in products(own))


def moved(own: Settings, parameters: int) -> int:
    """Bytes that a step of one trial of so many parameters moves at least."""
    kept = sum(one.kept for one in products(own))
    return BYTES * (OPTIMIZER * parameters + 2 * kept)


def milliseconds(
    operations: float, moved: float, operations_a_second: float, bytes_a_second: float
) -> float:
    """What neither arithmetic nor memory at these peaks can be faster than."""
    return 1000 * max(operations / operations_a_second, moved / bytes_a_second)


def products(own: Settings) -> Iterator[Product]:
    """All products of one trial in a step, in their order."""
    task = xor_task(own)
    batch = own.batch_size or len(task.splits["train"])
    architectures = {"transformer": _transformer, "lstm": _lstm, "mixer": _mixer}
    yield from architectures[own.architecture](own, task.vocabulary, batch)
    yield Product(task.vocabulary * own.embedding_size * batch, own.embedding_size * batch)


def _transformer(own: Settings, symbols: int, batch: int) -> Iterator[Product]:
    size, heads = own.embedding_size, own.heads
    places = own.bits + 1 if own.dropout else symbols  # among which attention runs
    if own.dropout:
        yield Product(symbols * size * places * batch, gradients=1)
    for index in range(own.layers):
        last = index == own.layers - 1 and not own.dropout
        if index == 0 and not own.dropout:
            asking = 1 if last else symbols
            yield Product(3 * size * size * symbols)  # queries, keys, values, of the table
            yield Product(size * symbols * asking, size * (symbols + asking), summed=True)
            yield Product(size * size * symbols, size * symbols, summed=True)  # of the last map
            attention = heads * symbols * asking * batch
            yield Product(size * attention, size * heads * symbols + attention)
        elif last:
            seen, of_head = heads * symbols * batch, heads * size * batch
            hidden = size * symbols * batch
            yield Product(size * size * batch)  # query; its operand is part of hidden
            yield Product(size * size * batch, size * batch)  # through the map of the keys
            yield Product(size * seen, of_head + hidden, summed=True)
            yield Product(size * seen, seen, summed=True)
            yield Product(size * size * batch, of_head)  # through the map of the values
            yield Product(size * size * batch, size * batch)
        else:
            hidden, attention = size * places * batch, heads * places * places * batch
            yield Product(3 * size * hidden, hidden)
            yield Product(size * places * places * batch, 2 * hidden, summed=True)
            yield Product(size * places * places * batch, attention + hidden, summed=True)
            yield Product(size * hidden, hidden)
        of_rest = batch if last else places * batch
        for wide, kept in ((own.feedforward_size, size), (size, own.feedforward_size)):
            yield Product(wide * kept * of_rest, kept * of_rest)
    if own.dropout:  # of the masked place
        yield Product(size * places * batch, gradients=1, summed=True)


def _lstm(own: Settings, symbols: int, batch: int) -> Iterator[Product]:
    size, hidden, directions = own.embedding_size, own.hidden_size, 1 + own.bidirectional
    gates = directions * 4 * hidden
    yield Product(gates * size * symbols)  # the first layer's share of the gates, of the table
    state = directions * hidden * batch  # after each place; the layer above reads it too
    for index in range(own.layers):
        read = directions * hidden if index else symbols
        if index:
            yield Product(gates * read * batch, state)
        else:
            yield Product(gates * read * batch, gradients=1)
        for _ in range(own.bits):
            yield Product(gates * (read + hidden) * batch, state)
    yield Product(size * state, state)


def _mixer(own: Settings, symbols: int, batch: int) -> Iterator[Product]:
    size, places = own.embedding_size, own.bits + 1
    of_token, of_channel = own.token_feedforward_size, own.channel_feedforward_size
    whole = size * places * batch
    lookup = Product(symbols * whole, gradients=1)
    for index in range(own.layers):
        last, inner = index == own.layers - 1, of_token * size * batch
        if index == 0:
            yield lookup
        yield Product(of_token * whole, whole)
        if last:  # the masked place's row, its vector, its bias; where it is one, its own value
            yield Product(places * of_token * batch, gradients=1, summed=True)
            yield Product(inner, of_token * batch + inner, summed=True)
            yield Product(places * batch, gradients=1, summed=True)
            if index:
                yield Product(whole, gradients=1, summed=True)
        else:
            if index == 0:
                yield lookup
            yield Product(places * inner, inner)
        of_rest = batch if last else places * batch
        for wide, kept in ((of_channel, size), (size, of_channel)):
            yield Product(wide * kept * of_rest, kept * of_rest)
