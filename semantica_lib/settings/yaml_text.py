"""Reading YAML that somebody wrote: no code is run, and every oddity is one clear error.

Values are those of YAML 1.2's core schema, but stricter: what can be read in more than one way is
text, and refused where a number or true or false is meant. So are ``042`` (34 in YAML 1.1, 42 in
1.2), ``1:30`` (90 in YAML 1.1), ``0o17``, ``0x1f`` and ``yes``.
"""

import re
from collections.abc import Hashable
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any, ClassVar

import yaml

from semantica_lib.errors import RequestError, short

# More no settings need, and PyYAML would take its time over: characters, brackets in brackets.
MOST_CHARACTERS, DEEPEST = 200_000, 20

_WHOLE = r"(?:0|[1-9][0-9]*(?:_[0-9]+)*)"  # no zero in front, and Python's underscores
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_EXPONENT = r"(?:[eE][-+]?[0-9]+)"
# What a text without quotes stands for, and the characters that it may begin with.
CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (rf"[-+]?{_WHOLE}", list("-+0123456789")),
    "float": (
        rf"[-+]?(?:{_WHOLE}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS}){_EXPONENT}?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}


class _Loader(yaml.SafeLoader):
    """YAML without code, in which a name stands once only."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # those of YAML 1.1 stay out

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
                    raise RequestError(f"{short(name)} stands there twice: leave one out")
                names.add(name)
        return super().construct_mapping(node, deep)

    def construct_core(self, node: yaml.ScalarNode) -> Any:
        """The value of a scalar of the core schema, whose tag may be written out, as ``!!int``."""
        text, kind = self.construct_scalar(node), node.tag.rpartition(":")[2]
        if not re.fullmatch(CORE[kind][0], text):
            raise yaml.constructor.ConstructorError(None, None, f"no {kind}", node.start_mark)
        if kind == "null":
            return None
        return text.lower() == "true" if kind == "bool" else number(text)


for _kind, (_pattern, _first) in CORE.items():
    _tag, _meant = f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z")
    _Loader.add_implicit_resolver(_tag, _meant, _first)
    _Loader.add_constructor(_tag, _Loader.construct_core)
_loaded = lru_cache(partial(yaml.load, Loader=_Loader))  # the same few files, again and again


def number(text: str) -> int | float:
    """The number that a text is; a whole one if it has no point, or is whole by its exponent.

    Raises:
        ValueError: it is none, or has more digits than Python reads.
    """
    if re.fullmatch(CORE["int"][0], text):
        return int(text)
    if not re.fullmatch(CORE["float"][0], text):
        raise ValueError(f"not a number: {short(text)}")
    value = float(re.sub(r"\.(?=[iInN])", "", text))  # Python writes infinity without a point
    return int(value) if "e" in text.lower() and value.is_integer() else value


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
        return deepcopy(_loaded(text))  # a caller may change what it gets
    except RequestError as error:
        raise RequestError(f"{what}: {error}") from None
    except RecursionError:
        raise RequestError(f"{what} is nested too deeply: at most {DEEPEST} brackets") from None
    # PyYAML lets what Python says of a bad number, date or the like pass
    except (
        yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError
    ) as error:  # fmt: skip
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise RequestError(f"{what} is not valid YAML{line}: close brackets, quote text") from None
