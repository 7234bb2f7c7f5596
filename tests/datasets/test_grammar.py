"""The grammar's text against its own tables: drawn anew in plain Python, counted, and parsed."""

import hashlib
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy import stats

from semantica_lib.datasets import grammar

FAIR = (1e-4, 1 - 1e-4)  # chosen before any p-value was computed


@pytest.fixture(scope="module")
def text() -> list[str]:
    return grammar.sentences(14)


def plain(seed: int, count: int) -> list[str]:
    """The same sentences, a word at a time, by the rules as they are told."""
    bits = np.random.PCG64(seed)

    def uniform() -> float:
        return (int(bits.random_raw()) >> 11) / 2**53

    def pick(chances: dict[str, float], at: float) -> str:
        total = 0.0
        for word, chance in chances.items():
            total += chance
            if at < total:
                return word
        return list(chances)[-1]

    lines = []
    ranks = {str(topic): 1 / (topic + 1) for topic in range(len(grammar.TOPICS))}
    total = sum(ranks.values())
    for _ in range(count):
        topic = int(pick({name: rank / total for name, rank in ranks.items()}, uniform()))
        frame = int(uniform() * 2)
        has = [uniform() < share for share, _ in grammar.PARTS]
        words = []
        for present, (_, names) in zip(has, grammar.PARTS, strict=True):
            for name in names:
                word = pick(grammar.probabilities(name, topic, frame), uniform())
                words += [word] * present
        lines.append(" ".join(words))
    return lines


def test_sentences_are_those_of_the_rules(text):
    assert plain(14, 500) == text[:500]
    assert plain(7, 50) == grammar.sentences(7, 50)


def test_the_text_is_the_same_everywhere(text):
    """A number written down once: other versions of Python and NumPy must give it too."""
    lines, _, about = grammar.grammar(14)
    assert lines == text
    assert about["sha256"] == hashlib.sha256(("\n".join(text) + "\n").encode()).hexdigest()
    assert about["sha256"].startswith("4b53e523a41a1cd4")
    assert grammar.sentences(15, 100) != text[:100]


def test_probabilities_are_told_by_hand():
    kitchen, stray = grammar.probabilities("person", 0, 0), 0.1 / 8
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5
    assert kitchen["cook"] == pytest.approx((0.9 + stray) / harmonic)
    assert kitchen["baker"] == pytest.approx((0.9 + stray) / harmonic / 2)
    assert kitchen["captain"] == pytest.approx(stray / harmonic / 2)
    assert grammar.probabilities("verb", 0, 1)["dried"] == pytest.approx(1 / 2 / harmonic)
    for topic, frame in product(range(8), range(2)):
        for _, names in grammar.PARTS:
            for name in names:
                assert sum(grammar.probabilities(name, topic, frame).values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["verb", "thing", "person", "determiner", "tool", "place"])
def test_words_are_as_frequent_as_told(text, name):
    weights = [1 / rank for rank in range(1, 9)]
    chances: Counter[str] = Counter()
    for topic, frame in product(range(8), range(2)):
        share = weights[topic] / sum(weights) / 2
        chances.update({w: share * p for w, p in grammar.probabilities(name, topic, frame).items()})
    if name == "determiner":  # at the beginning of each sentence, and further on
        found = Counter(line.split()[0] for line in text)
    else:
        found = Counter(word for line in text for word in line.split() if word in chances)
    observed = np.array([found[word] for word in chances])
    expected = np.array(list(chances.values())) * observed.sum()
    assert FAIR[0] < stats.chisquare(observed, expected).pvalue < FAIR[1]


def test_every_sentence_can_be_parsed(text):
    def some(words: str) -> str:
        return f"({'|'.join(words.split())})"

    def every(name: str) -> str:
        return some(" ".join(topic[name] for topic in grammar.TOPICS))

    common = {name: some(words) for name, words in grammar.COMMON.items()}
    frames = []
    for topic in grammar.TOPICS:
        for frame in topic["frames"]:
            frames.append(
                f"{common['determiner']}( {common['character']})? {every('person')} "
                f"{some(frame['verb'])} {common['determiner']}( {some(frame['quality'])})? "
                f"{some(frame['thing'])}( with {common['article']} {every('tool')})?"
                f"( {common['preposition']} {common['article']} {every('place')})?"
                f"( {every('manner')})?"
            )
    rule = re.compile("|".join(frames))
    assert all(rule.fullmatch(line) for line in text[:5_000])


def test_text_is_fit_for_the_experiment(text):
    lengths = Counter(line.count(" ") + 1 for line in text)
    assert len(text) == 40_000
    assert min(lengths) == 5 and max(lengths) == 14 and min(lengths.values()) > 200
    _, candidates, about = grammar.grammar(14)
    counts = Counter(word for line in text for word in line.split())
    assert about["words"] == sum(counts.values()) and about["sentences"] == len(text)
    assert 300 <= about["lexicon"] == len(counts) <= 450
    assert sum(counts[word] >= 300 for word in candidates) >= 60
    assert list(candidates) == sorted(candidates, key=lambda word: (-counts[word], word))
    assert all(word.isascii() and word.isalpha() and word.islower() for word in counts)
    functions = {"the", "with", "in"}
    assert set(candidates) <= set(counts) and not functions & set(candidates)


def test_content_words_have_one_meaning():
    lists = [grammar.COMMON["character"]]
    for topic in grammar.TOPICS:
        lists += [topic[name] for name in ("person", "tool", "place", "manner")]
        lists += [words for frame in topic["frames"] for words in frame.values()]
    words = [word for listed in lists for word in listed.split()]
    assert len(words) == len(set(words))
    assert set(words) == grammar.content_words()
    assert not set(words) & set(" ".join(grammar.COMMON.values()).split()) - set(lists[0].split())
