"""Reading YAML that somebody wrote: no code is run, and every oddity is one clear error."""

from typing import Any

import yaml

from semantica_lib.errors import RequestError, short


class _Loader(yaml.SafeLoader):
    """YAML without code, in which a name may stand once only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise RequestError(f"{short(name)} stands there twice")
        return super().construct_mapping(node, deep)


def parse(text: str, what: str) -> Any:
    """The value that a YAML text stands for.

    Args:
        what: what the text is, for messages.

    Raises:
        RequestError: it is not YAML, or says something twice.
    """
    try:
        return yaml.load(text, _Loader)
    except RequestError as error:
        raise RequestError(f"{what}: {error}") from None
    except RecursionError:
        raise RequestError(f"{what} is nested too deeply") from None
    # PyYAML lets what Python says of a bad number, date or the like pass
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise RequestError(f"{what} is not valid YAML{line}") from None
