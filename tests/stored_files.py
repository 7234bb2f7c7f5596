"""Files that tests make."""

from pathlib import Path


def tree(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Files of these contents in a folder, which is made with those between."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
