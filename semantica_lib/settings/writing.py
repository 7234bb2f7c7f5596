"""An experiment as the text of a file."""

import json

from semantica_lib.settings.xor import Settings


def file_text(own: Settings) -> str:
    """What differs from the defaults, as ``catalogue.read_file`` reads it."""
    mine, usual = (one.model_dump(mode="json") for one in (own, Settings()))
    told = {"experiment": own.experiment}
    told |= {name: value for name, value in mine.items() if value not in (None, usual[name])}
    lines = (f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in told.items())
    return "".join(lines)  # JSON is YAML
