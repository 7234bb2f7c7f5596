"""Reading YAML that somebody wrote: no code is run, and every oddity is one clear error."""

from collections.abc import Hashable
from typing import Any

import yaml

from semantica_lib.errors import RequestError, short

# More no settings need, and PyYAML would take its time over: characters, brackets in brackets.
MOST_CHARACTERS, DEEPEST = 200_000, 20


class _Loader(yaml.SafeLoader):
    """YAML without code, in which a name stands once only."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level >= DEEPEST:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=deep)
            if isinstance(name, Hashable):  # what is not is refused below
                if name in names:
                    raise RequestError(f"{short(name)} stands there twice")
                names.add(name)
        return super().construct_mapping(node, deep)


def parse(text: str, what: str) -> Any:
    """The value that a YAML text stands for.

    Args:
        what: what the text is, for messages.

    Raises:
        RequestError: it is not YAML, is too long, or says something twice.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"{what} is too long: at most {MOST_CHARACTERS:,} characters are read")
    try:
        return yaml.load(text, _Loader)
    except RequestError as error:
        raise RequestError(f"{what}: {error}") from None
    except RecursionError:
        raise RequestError(f"{what} is nested too deeply") from None
    # PyYAML lets what Python says of a bad number, date or the like pass
    except (
        yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError
    ) as error:  # fmt: skip
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise RequestError(f"{what} is not valid YAML{line}") from None
