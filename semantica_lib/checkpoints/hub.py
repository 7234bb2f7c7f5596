"""A checkpoint on a hub, of which only the bytes that are wanted are fetched."""

import io
import re
from typing import BinaryIO

from semantica_lib.checkpoints.place import Place
from semantica_lib.datasets.hub import SECONDS, gist, no_answer
from semantica_lib.errors import RequestError

ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)  # OWNER/NAME@REVISION
AHEAD = 1 << 16  # bytes of a request at the least


def place(source: str) -> Place:
    """The files of ``OWNER/NAME`` or ``OWNER/NAME@REVISION`` at one commit.

    Raises:
        RequestError: the hub does not answer, there is no such model, or it needs a licence.
    """
    from huggingface_hub import HfApi, hf_hub_url

    if quiet := no_answer():
        raise RequestError(f"{source}: nothing of this name here, and {quiet}; go online")
    name, _, revision = source.partition("@")
    try:
        info = HfApi().model_info(
            name, revision=revision or None, files_metadata=True, timeout=SECONDS
        )
    except Exception as error:  # of several libraries, which have no common class
        raise _refused(source, error) from None
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}

    def opened(file: str) -> BinaryIO:
        url = hf_hub_url(name, file, revision=info.sha)
        return io.BufferedReader(_Remote(source, url, sizes[file]), AHEAD)

    return Place(source, sizes, opened)


class _Remote(io.RawIOBase):
    """A file of known size behind an address, read by HTTP range."""

    def __init__(self, source: str, url: str, size: int) -> None:
        self.source, self.url, self.size, self.position = source, url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        end = min(self.position + len(buffer), self.size)
        if end <= self.position:
            return 0
        headers = build_hf_headers() | {"Range": f"bytes={self.position}-{end - 1}"}
        got, want = 0, end - self.position
        try:
            session = get_session()
            with session.stream("GET", self.url, headers=headers, follow_redirects=True) as answer:
                if answer.is_error:
                    answer.read()
                    hf_raise_for_status(answer)
                if answer.status_code != 206:  # it would send the file whole
                    raise OSError("the server sends no ranges of bytes")
                for part in answer.iter_raw():
                    buffer[got : got + len(part)] = part
                    got += len(part)
        except Exception as error:  # of several libraries, which have no common class
            raise _refused(self.source, error) from None
        if got != want:
            raise RequestError(f"{self.source}: the hub sent {got:,} of {want:,} bytes; try again")
        self.position = end
        return got


def _refused(source: str, error: Exception) -> RequestError:
    from huggingface_hub import errors

    name = source.partition("@")[0]
    if isinstance(error, errors.GatedRepoError):
        told = "needs a licence: accept it on the model's page, then `hf auth login`"
    elif isinstance(error, errors.RepositoryNotFoundError):
        told = (
            "neither a file or folder here nor a model on the hub (or a private one: "
            "`hf auth login`)"
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        told = f"{name} has no such revision"
    else:
        told = f"cannot be read from the hub ({gist(error)}); try again"
    return RequestError(f"{source}: {told}")
