"""A small generative grammar, whose text is a pure function of a seed.

A sentence has a topic and, within it, a frame: what may be done to which things. Who does it, with
what, where and how is drawn from words of the topic, now and then from all topics::

    the young baker kneaded the fresh dough with a spoon in the kitchen slowly

So the words around a gap tell a lot about the word in it, as they do in a language, while all
probabilities are known: they stand in this file.
"""

import hashlib
from collections import Counter
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
# Commonest topic first; of each class the commonest word first. A topic's two frames have verbs,
# things and their qualities of their own.
TOPICS: tuple[dict[str, Any], ...] = (
    {
        "person": "cook baker waiter grandmother guest",
        "tool": "knife spoon bowl whisk", "place": "kitchen cellar restaurant pantry",
        "manner": "slowly neatly gently hungrily",
        "frames": (
            {"verb": "baked kneaded tasted served burned",
             "thing": "bread cake soup dough pudding pie",
             "quality": "fresh sweet salty warm stale"},
            {"verb": "washed dried stacked filled scrubbed",
             "thing": "plate cup kettle pan jug oven",
             "quality": "dirty clean copper greasy chipped"},
        ),
    },
    {
        "person": "sailor captain fisherman pilot diver",
        "tool": "rope net anchor compass", "place": "harbour bay lighthouse dock",
        "manner": "bravely silently boldly steadily",
        "frames": (
            {"verb": "steered repaired launched anchored painted",
             "thing": "ship boat raft ferry yacht canoe",
             "quality": "wooden leaky fast rusty sturdy"},
            {"verb": "caught chased spotted netted released",
             "thing": "fish crab whale seal turtle shark",
             "quality": "slippery grey huge striped rare"},
        ),
    },
    {
        "person": "farmer shepherd milkmaid gardener ploughman",
        "tool": "spade bucket rake fork", "place": "barn field orchard stable",
        "manner": "early daily busily calmly",
        "frames": (
            {"verb": "planted watered harvested picked weeded",
             "thing": "wheat apple potato carrot bean pumpkin",
             "quality": "ripe green muddy golden sour"},
            {"verb": "fed milked sheltered herded brushed",
             "thing": "cow sheep horse goat hen donkey",
             "quality": "fat woolly lame gentle hungry"},
        ),
    },
    {
        "person": "singer violinist composer drummer pianist",
        "tool": "microphone baton bow metronome", "place": "theatre studio chapel ballroom",
        "manner": "loudly softly perfectly badly",
        "frames": (
            {"verb": "sang composed rehearsed hummed recorded",
             "thing": "song melody opera hymn waltz ballad",
             "quality": "sad merry solemn popular forgotten"},
            {"verb": "tuned played practised carried polished",
             "thing": "violin piano drum flute guitar trumpet",
             "quality": "silver antique borrowed broken shiny"},
        ),
    },
    {
        "person": "doctor nurse surgeon patient dentist",
        "tool": "needle bandage syringe thermometer", "place": "hospital clinic ward pharmacy",
        "manner": "carefully urgently skilfully painfully",
        "frames": (
            {"verb": "treated cured examined diagnosed suffered",
             "thing": "fever cough wound rash infection headache",
             "quality": "severe mild chronic sudden mysterious"},
            {"verb": "prescribed swallowed prepared injected mixed",
             "thing": "medicine pill syrup vaccine ointment powder",
             "quality": "bitter strong new harmless costly"},
        ),
    },
    {
        "person": "teacher pupil professor librarian student",
        "tool": "pencil ruler dictionary magnifier", "place": "school library classroom museum",
        "manner": "eagerly thoroughly twice secretly",
        "frames": (
            {"verb": "read wrote translated copied published",
             "thing": "book letter poem essay novel diary",
             "quality": "long dull brilliant ancient thin"},
            {"verb": "solved explained discussed understood answered",
             "thing": "problem question riddle theorem puzzle equation",
             "quality": "difficult easy strange important tricky"},
        ),
    },
    {
        "person": "traveller driver conductor tourist porter",
        "tool": "map ticket torch umbrella", "place": "station airport tunnel hotel",
        "manner": "quickly nervously late again",
        "frames": (
            {"verb": "drove parked boarded missed stopped",
             "thing": "train bus taxi tram lorry coach",
             "quality": "crowded red delayed electric noisy"},
            {"verb": "packed lost lifted opened forgot",
             "thing": "suitcase bag parcel passport trunk wallet",
             "quality": "heavy leather small empty battered"},
        ),
    },
    {
        "person": "mason carpenter builder architect plumber",
        "tool": "hammer ladder drill chisel", "place": "workshop quarry cottage attic",
        "manner": "roughly precisely cheaply soon",
        "frames": (
            {"verb": "built measured demolished plastered insulated",
             "thing": "wall roof bridge chimney tower fence",
             "quality": "high narrow crooked solid brick"},
            {"verb": "sawed varnished assembled sanded glued",
             "thing": "table chair shelf door cupboard bench",
             "quality": "oak round wobbly elegant plain"},
        ),
    },
)  # fmt: skip
FRAMES = 2  # of each topic

Class = tuple[list[str], np.ndarray]  # words, and how much of the mass the words up to each have


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
