"""From an English sentence to the reader's language, by a phrase book of plain JSON files.

The English sentence is the key, as the code writes it. Where it holds numbers or names the key has places for them,
``"{shown} of {total} images"``, and any sentence of that form is taken. What no phrase fits is said sentence by sentence, and
what is then still unknown stays English.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

LANGUAGES = {"EN": "en", "KO": "ko"}
"""What the switch shows, to the name of the folder with the phrase book; English is what the code says."""

_PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_VALUE = r"(?:(?![.?!…]\s).)+?"  # what fills a place never runs over the end of a sentence
_SENTENCE_END = re.compile(r"((?<=[.?!…])\s+|\n+)")
_PARTICLES = re.compile(r"(\S)(\W*?)(을\(를\)|이\(가\)|은\(는\)|과\(와\)|으로\(로\))")
_DEEPEST = 3  # phrases within phrases


@dataclass(frozen=True)
class PhraseBook:
    """Phrases from English to one language; a key with ``{places}`` stands for every sentence of that form."""

    phrases: Mapping[str, str] = field(default_factory=dict)

    def say(self, text: str, *, depth: int = 0) -> str:
        """``text`` in the language of the book; where names or numbers are filled in, they are looked up too."""
        if not text.strip():
            return text
        phrase = self._phrase(text, depth)
        if phrase is not None:
            return phrase
        parts = _SENTENCE_END.split(text)
        if len(parts) == 1:
            return text
        return "".join(self._phrase(part, depth) or part for part in parts)

    def knows(self, text: str) -> bool:
        """Whether ``text`` as a whole is a phrase, or of the form of one."""
        return self._phrase(text, 0) is not None

    def _phrase(self, text: str, depth: int) -> str | None:
        if text in self.phrases:
            return self.phrases[text]
        for form, key in self._forms:
            if found := form.fullmatch(text):
                values = found.groupdict()
                if depth < _DEEPEST:
                    values = {name: self.say(value, depth=depth + 1) for name, value in values.items()}
                return _fill(self.phrases[key], values)
        return None

    @cached_property
    def _forms(self) -> list[tuple[re.Pattern, str]]:
        """Pattern and key of the phrases with places: those that begin with a word of their own first, then by its length.

        A place at the beginning takes whatever comes, so it would take what another phrase begins with.
        """
        keys = [key for key in self.phrases if _PLACE.search(key)]
        keys.sort(key=lambda key: (bool(_PLACE.match(key)), -len(_PLACE.sub("", key)), key))
        return [(_pattern(key), key) for key in keys]


@lru_cache
def phrase_book(language: str) -> PhraseBook:
    """The book of a language of ``LANGUAGES`` (its folder name); English has an empty one.

    Raises: KeyError for a language that is none of them.
    """
    if language not in LANGUAGES.values():
        raise KeyError(language)
    phrases = {}
    for path in sorted((Path(__file__).parent / language).glob("*.json")):
        phrases |= json.loads(path.read_text(encoding="utf-8"))
    return PhraseBook(phrases)


def places(text: str) -> set[str]:
    """The names of the places in a phrase."""
    return set(_PLACE.findall(text))


def fit_particles(text: str) -> str:
    """Korean particles written both ways, ``을(를)``, in the one form that fits the sound before them."""
    return _PARTICLES.sub(lambda found: found[1] + found[2] + _fitting(_last_sign(found[1], found[2]), found[3]), text)


def _fill(phrase: str, values: Mapping[str, str]) -> str:
    return fit_particles(_PLACE.sub(lambda place: values[place[1]], phrase))


def _last_sign(letter: str, after: str) -> str:
    """What is spoken last: a per cent sign behind the letter, else the letter."""
    return "%" if after.startswith("%") else letter


def _fitting(letter: str, particle: str) -> str:
    closed, opened = particle.rstrip(")").split("(")
    final = _final_sound(letter)
    if final is None:
        return particle
    ends_open = final == "" or (final == "l" and closed == "으로")
    return opened if ends_open else closed


_DIGITS = dict(zip("0123456789", ("closed", "l", "", "closed", "", "", "closed", "l", "l", ""), strict=True))


def _final_sound(letter: str) -> str | None:
    """How the syllable ends: "" open, "l" with ㄹ, "closed" otherwise; None where it cannot be told (Latin letters)."""
    if letter == "%":  # 퍼센트
        return ""
    if letter in _DIGITS:
        return _DIGITS[letter]
    if not "가" <= letter <= "힣":
        return None
    final = (ord(letter) - ord("가")) % 28
    return {0: "", 8: "l"}.get(final, "closed")


def _pattern(key: str) -> re.Pattern:
    seen: set[str] = set()
    pattern, last = "", 0
    for place in _PLACE.finditer(key):
        name = place[1]
        pattern += re.escape(key[last : place.start()]) + (f"(?P={name})" if name in seen else f"(?P<{name}>{_VALUE})")
        seen.add(name)
        last = place.end()
    return re.compile(pattern + re.escape(key[last:]), re.DOTALL)
