"""The paper's text, BookCorpus, read from a hub as a stream: nothing of it is kept whole on disk.

The original's own address has only a loading script, which ``datasets`` no longer runs, so several
sources are asked in turn. The last one is other text (Wikipedia's), and what answered is told.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from semantica_lib.errors import RequestError

TOKENIZER = "google-bert/bert-base-uncased"
SECONDS = 10  # to wait for the hub's first answer
AT_ONCE = 1_000  # rows
HEADING = re.compile(r"=.*=")  # as Wikipedia's text marks them


@dataclass(frozen=True)
class Source:
    """A dataset with a column of text."""

    name: str  # on the hub; or a folder of this machine that holds such files
    config: str | None = None  # which of its parts
    revision: str | None = None  # which version of it
    dataset_rows: int | None = None  # of the training split, if known
    refused: tuple[str, ...] = ()  # the sources asked before it, with their reasons

    @property
    def local(self) -> bool:
        return Path(self.name).is_dir()

    @property
    def words(self) -> str:
        """Name, part and version in one line."""
        version = self.revision and f"at {self.revision}"
        return " ".join(filter(None, (self.name, self.config, version)))

    @property
    def about(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {"source": self.words, **asdict(self), "refused": list(self.refused)}

    def sentences(self, start: int = 0) -> Iterator[str]:
        """The rows of text, lower-cased, without empty ones and headings, from a number on.

        Raises:
            RequestError: the stream cannot be read (any more).
        """
        return islice(filter(None, map(_cleaned, self._texts())), start, None)

    def _texts(self) -> Iterator[str]:
        try:
            for table in self._open().with_format("arrow").iter(AT_ONCE):
                yield from table.column("text").to_pylist()
        except Exception as error:  # of several libraries, which have no common class
            raise RequestError(
                f"reading {self.words} stopped ({gist(error)}); go online and run it again: "
                "what is encoded is kept"
            ) from None

    def _open(self) -> Any:
        from datasets import load_dataset

        how = {"revision": self.revision, "streaming": True, "split": "train"}
        return load_dataset(self.name, self.config, **how)

    def resolved(self) -> "Source":
        """The same at its present commit, after a look at its first row; any Exception if not."""
        found = self
        if not self.local:
            from huggingface_hub import HfApi

            info = HfApi().dataset_info(self.name, revision=self.revision, timeout=SECONDS)
            found = replace(self, revision=info.sha)
        stream = found._open()
        if "text" not in next(iter(stream)):
            raise ValueError("it has no column 'text'")
        train = (stream.info.splits or {}).get("train")
        return replace(found, dataset_rows=(train and train.num_examples) or None)


# To ask in this order.
SOURCES = (
    Source("bookcorpus/bookcorpus", revision="refs/convert/parquet"),
    Source("rojagtap/bookcorpus"),
    Source("Salesforce/wikitext", "wikitext-103-raw-v1"),
)


def first_that_answers(sources: Sequence[Source] = SOURCES) -> Source:
    """The first source that can be read, at its present commit.

    Raises:
        RequestError: none of them can: which ones, why, and what to do.
    """
    refused: list[str] = []
    silence = "" if all(source.local for source in sources) else no_answer()
    for source in sources:
        try:
            if silence and not source.local:
                raise ConnectionError(silence)
            found = replace(source.resolved(), refused=tuple(refused))
        except Exception as error:  # of several libraries, which have no common class
            refused.append(f"{source.words} ({gist(error)})")
            continue
        if refused:
            told = f"corpus bookcorpus is {found.words}, for lack of {'; '.join(refused)}"
            warnings.warn(told, stacklevel=2)
        return found
    raise RequestError(
        f"corpus bookcorpus cannot be had: {'; '.join(refused)}; go online, or use your own text "
        "(corpus=text:PATH)"
    )


def hub_tokenizer(name: str) -> Any:
    """A hub's tokenizer (``tokenizers.Tokenizer``) by its name.

    Raises:
        RequestError: it cannot be had.
    """
    from tokenizers import Tokenizer

    try:
        if silence := no_answer():
            raise ConnectionError(silence)
        return Tokenizer.from_pretrained(name)
    except Exception as error:  # of several libraries, which have no common class
        raise RequestError(
            f"the tokenizer {name} cannot be had ({gist(error)}); go online, or use a corpus "
            "that needs none (grammar, documentation, text:PATH)"
        ) from None


def no_answer() -> str:
    """Why the hub does not answer one request, without many retries; empty if it does."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # of several libraries, which have no common class
        return f"no answer from {constants.ENDPOINT}: {gist(error)}"
    return ""


def _cleaned(text: str | None) -> str:
    """In lower case and on one line; nothing is left of a heading."""
    line = " ".join((text or "").split()).lower()
    return "" if HEADING.fullmatch(line) else line


def gist(error: Exception) -> str:
    """The gist of an error in one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 100 else f"{words[:97]}..."
