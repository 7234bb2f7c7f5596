"""A small generative grammar, whose text is a pure function of a seed.

A sentence has a topic and, within it, a frame: what may be done to which things. Who does it, with
what, where and how is drawn from words of the topic, now and then from all topics::

    the young baker kneaded the fresh dough with a spoon in the kitchen slowly

So the words around a gap tell a lot about the word in it, as they do in a language, while all
probabilities are known: they stand in this file.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

SENTENCES = 40_000
STRAY = 0.1  # of the mass of people, tools, places and manners: shared by the words of all topics

# Parts of a sentence: how often it has the part, and of which classes of words the part consists.
# Five words at least, fourteen at most.
PARTS = (
    (1.0, ("determiner",)),
    (0.4, ("character",)),
    (1.0, ("person", "verb", "determiner")),
    (0.5, ("quality",)),
    (1.0, ("thing",)),
    (0.25, ("with", "article", "tool")),
    (0.45, ("preposition", "article", "place")),
    (0.3, ("manner",)),
)
COMMON = {
    "determiner": "the this that every one another some",
    "article": "the this that one",
    "character": "old young tired happy quiet clever famous careless cheerful stubborn",
    "with": "with",
    "preposition": "in near behind outside beside inside",
}
# Topics, the commonest first, and of each the words of its classes, the commonest word first:
# person; tool; place; manner; and of each of its two frames verb; thing; quality.
_TABLE = """
cook baker waiter grandmother guest; knife spoon bowl whisk; kitchen cellar restaurant pantry;
slowly neatly gently hungrily;
baked kneaded tasted served burned; bread cake soup dough pudding pie; fresh sweet salty warm stale;
washed dried stacked filled scrubbed; plate cup kettle pan jug oven; dirty clean copper greasy
chipped

sailor captain fisherman pilot diver; rope net anchor compass; harbour bay lighthouse dock; bravely
silently boldly steadily;
steered repaired launched anchored painted; ship boat raft ferry yacht canoe; wooden leaky fast
rusty sturdy;
caught chased spotted netted released; fish crab whale seal turtle shark; slippery grey huge striped
rare

farmer shepherd milkmaid gardener ploughman; spade bucket rake fork; barn field orchard stable;
early daily busily calmly;
planted watered harvested picked weeded; wheat apple potato carrot bean pumpkin; ripe green muddy
golden sour;
fed milked sheltered herded brushed; cow sheep horse goat hen donkey; fat woolly lame gentle hungry

singer violinist composer drummer pianist; microphone baton bow metronome; theatre studio chapel
ballroom; loudly softly perfectly badly;
sang composed rehearsed hummed recorded; song melody opera hymn waltz ballad; sad merry solemn
popular forgotten;
tuned played practised carried polished; violin piano drum flute guitar trumpet; silver antique
borrowed broken shiny

doctor nurse surgeon patient dentist; needle bandage syringe thermometer; hospital clinic ward
pharmacy; carefully urgently skilfully painfully;
treated cured examined diagnosed suffered; fever cough wound rash infection headache; severe mild
chronic sudden mysterious;
prescribed swallowed prepared injected mixed; medicine pill syrup vaccine ointment powder; bitter
strong new harmless costly

teacher pupil professor librarian student; pencil ruler dictionary magnifier; school library
classroom museum; eagerly thoroughly twice secretly;
read wrote translated copied published; book letter poem essay novel diary; long dull brilliant
ancient thin;
solved explained discussed understood answered; problem question riddle theorem puzzle equation;
difficult easy strange important tricky

traveller driver conductor tourist porter; map ticket torch umbrella; station airport tunnel hotel;
quickly nervously late again;
drove parked boarded missed stopped; train bus taxi tram lorry coach; crowded red delayed electric
noisy;
packed lost lifted opened forgot; suitcase bag parcel passport trunk wallet; heavy leather small
empty battered

mason carpenter builder architect plumber; hammer ladder drill chisel; workshop quarry cottage
attic; roughly precisely cheaply soon;
built measured demolished plastered insulated; wall roof bridge chimney tower fence; high narrow
crooked solid brick;
sawed varnished assembled sanded glued; table chair shelf door cupboard bench; oak round wobbly
elegant plain
"""
FRAMES = 2  # of each topic


def _topics() -> Iterator[dict[str, Any]]:
    for topic in _TABLE.strip().split("\n\n"):
        lists = (" ".join(words.split()) for words in topic.split(";"))
        own = {name: next(lists) for name in ("person", "tool", "place", "manner")}
        frames = [
            {name: next(lists) for name in ("verb", "thing", "quality")} for _ in range(FRAMES)
        ]
        yield own | {"frames": frames}


TOPICS = tuple(_topics())


def probabilities(name: str, topic: int, frame: int) -> dict[str, float]:
    """Of the words of a class in a frame of a topic; the second of a list is half as frequent
    as the first, the third a third."""
    if name in COMMON:
        return _zipf(COMMON[name])
    if name not in TOPICS[topic]:
        return _zipf(TOPICS[topic]["frames"][frame][name])
    mass: Counter[str] = Counter()
    for number, other in enumerate(TOPICS):
        share = STRAY / len(TOPICS) + (1 - STRAY) * (number == topic)
        mass.update({word: share * p for word, p in _zipf(other[name]).items()})
    return dict(mass)


def _zipf(words: str) -> dict[str, float]:
    listed = words.split()
    total = sum(1 / rank for rank in range(1, len(listed) + 1))
    return {word: 1 / rank / total for rank, word in enumerate(listed, 1)}


def content_words() -> set[str]:
    """Nouns, verbs, adjectives and adverbs."""
    lists = [COMMON["character"]]
    for topic in TOPICS:
        lists += [words for words in topic.values() if isinstance(words, str)]
        lists += [words for frame in topic["frames"] for words in frame.values()]
    return {word for words in lists for word in words.split()}


def sentences(seed: int, count: int = SENTENCES) -> list[str]:
    """The text: ``count`` sentences, the first ones of any larger number of the same seed.

    Only the raw words of PCG64 are used, whose stream NumPy promises never to change.
    """
    slots = [(part, name) for part, (_, names) in enumerate(PARTS) for name in names]
    columns = 2 + len(PARTS) + len(slots)
    raw = np.random.PCG64(seed).random_raw(count * columns).reshape(count, columns)
    uniform = (raw >> np.uint64(11)) * 2.0**-53
    ranks = np.cumsum(list(_zipf(" ".join(map(str, range(len(TOPICS))))).values()))
    topic = np.searchsorted(ranks[:-1], uniform[:, 0], side="right")
    frame = (uniform[:, 1] * FRAMES).astype(int)
    has = uniform[:, 2 : 2 + len(PARTS)] < [share for share, _ in PARTS]
    text = np.full((count, len(slots)), None, dtype=object)
    for number in range(len(TOPICS) * FRAMES):
        rows = np.flatnonzero(topic * FRAMES + frame == number)
        for column, (part, name) in enumerate(slots):
            chances = probabilities(name, *divmod(number, FRAMES))
            bounds = np.cumsum(list(chances.values()))[:-1]
            some = rows[has[rows, part]]
            drawn = np.searchsorted(bounds, uniform[some, 2 + len(PARTS) + column], side="right")
            text[some, column] = np.array(list(chances), dtype=object)[drawn]
    return [" ".join(filter(None, row)) for row in text.tolist()]


def grammar(seed: int) -> tuple[list[str], tuple[str, ...], dict[str, Any]]:
    """The text, its content words with the most frequent first, and what it is (JSON values)."""
    text = sentences(seed)
    counts = Counter(word for sentence in text for word in sentence.split())
    ranked = sorted(content_words(), key=lambda word: (-counts[word], word))
    about = {
        "source": f"a grammar of {len(TOPICS)} topics",
        "data_seed": seed,
        "sha256": hashlib.sha256("".join(f"{line}\n" for line in text).encode()).hexdigest(),
        "sentences": len(text),
        "words": sum(counts.values()),
        "lexicon": len(counts),
    }
    return text, tuple(ranked), about
