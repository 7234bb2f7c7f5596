"""The one error that people see: a request that cannot be carried out, told in a single line."""

import difflib
from collections.abc import Iterable


class RequestError(ValueError):
    """A request was wrong and nothing ran: the command line answers with exit code 2."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for a misspelt name: ``" (did you mean 'steps'?)"``, else the names allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (allowed: {', '.join(allowed)})" if allowed else ""
