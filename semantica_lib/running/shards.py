"""Which shard of the work a machine has, as the command line writes it."""

from semantica_lib.errors import RequestError


def shard(text: str | None) -> tuple[int, int] | None:
    """I and N of ``I/N``; None of None.

    Raises:
        RequestError: it is written otherwise, or there is no I-th of N.
    """
    if text is None:
        return None
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 100_000):
        raise RequestError(f"--shard takes I/N, the I-th of N shards, as in 2/4, not {text!r}")
    return int(number), int(of)
