"""E-mail addresses and phone numbers of the simulated people; none can belong to anybody.

Mail domains lie below ``.example`` (RFC 2606), or are gmail.com with a name of five characters,
shorter than any that Gmail gives out. Phone numbers are 555 numbers.
"""

import numpy as np

_FIRST = (
    "ada ben cem dana eli fay gil hana ida jan kai lea mia noa ole pia quin rosa sam tess uma vic wim "
    "xena yara zoe alex bela carlo dora emil finn greta hugo ines jonas karla lars maja nils olga paul "
    "rita sven tom ulla vera wanda yann zita"
).split()
_LAST = (
    "abel braun costa diaz ebert faber gomez hahn ivanov jung kowal lopez maier novak ortiz petit quast "
    "reyes santos thiel urban vogel weber young zimmer bauer cruz dupont evans fischer garcia huber "
    "jansen klein lang moreau neumann perez roth silva torres wolf"
).split()
_WORD = (
    "lucky happy red blue dark wild iron silver magic super mega tiny fast sly frost fire storm moon sun "
    "star night pixel turbo royal secret"
).split()
_BEAST = (
    "fox wolf bear tiger lion hawk eagle shark dragon panda raven cobra viper lynx otter badger gecko "
    "falcon mantis bison"
).split()
_DOMAINS = ("mail.example", "post.example", "webbox.example", "inbox.example", "gmail.com", "tempbox.example")
_HONEST_WEIGHTS = (0.36, 0.22, 0.16, 0.14, 0.09, 0.03)
_THROWAWAY_WEIGHTS = (0.28, 0.15, 0.12, 0.12, 0.08, 0.25)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_AREAS = (
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 "
    "248 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 "
    "315 316 317 318 319 320 321 323 325 330"
).split()


class Identities:
    """Hands out e-mail addresses and phone numbers that no two people share by chance.

    Args:
        rng: Source of randomness.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._taken: set[str] = set()
        self._n_phones = 0

    def _pick(self, words: list[str]) -> str:
        return words[int(self._rng.integers(len(words)))]

    def domain(self, *, throwaway: bool = False) -> str:
        """Draw a provider; throw-away ones are commoner among people with something to hide."""
        weights = np.cumsum(_THROWAWAY_WEIGHTS if throwaway else _HONEST_WEIGHTS)
        return _DOMAINS[int(np.searchsorted(weights, self._rng.random() * weights[-1], side="right"))]

    def mailbox_name(self) -> str:
        """Draw a name of five characters for gmail.com."""
        while True:
            name = "".join(_ALPHABET[int(i)] for i in self._rng.integers(0, 36, 5))
            if f"{name}@gmail.com" not in self._taken:
                self._taken.add(f"{name}@gmail.com")
                return name

    def email(self, *, domain: str | None = None, throwaway: bool = False) -> str:
        """Return a new address in one of the ways in which people write theirs."""
        domain = domain or self.domain(throwaway=throwaway)
        if domain == "gmail.com":
            name = self.mailbox_name()
            if self._rng.random() < 0.4:
                name = f"{name[0]}.{name[1:]}"
            if self._rng.random() < 0.15:
                name = f"{name}+game"
            return f"{name}@gmail.com"
        while True:
            name = self._name()
            if f"{name}@{domain}" not in self._taken:
                break
        self._taken.add(f"{name}@{domain}")
        written = f"{name}@{domain}"
        return written.title() if self._rng.random() < 0.02 else written

    def _name(self) -> str:
        style = self._rng.random()
        if style < 0.3:
            return f"{self._pick(_FIRST)}.{self._pick(_LAST)}{self._digits(0.6, 2)}"
        if style < 0.55:
            return f"{self._pick(_FIRST)}{int(self._rng.integers(1, 9_999))}"
        if style < 0.85:
            return f"{self._pick(_WORD)}{self._pick(_BEAST)}{self._digits(0.85, 4)}"
        return f"{self._pick(_FIRST)[0]}{self._pick(_LAST)}{self._digits(0.7, 3)}"

    def _digits(self, share: float, length: int) -> str:
        return str(int(self._rng.integers(10**length))) if self._rng.random() < share else ""

    def pattern(self) -> tuple[str, str]:
        """Return a word and a domain from which a careless operator makes all addresses."""
        return f"{self._pick(_WORD)}{self._pick(_BEAST)}", _DOMAINS[int(self._rng.integers(4))]

    def numbered(self, word: str, domain: str) -> str:
        """Return the next address of such a pattern."""
        while True:
            name = f"{word}{int(self._rng.integers(10_000)):04d}"
            if f"{name}@{domain}" not in self._taken:
                self._taken.add(f"{name}@{domain}")
                return f"{name}@{domain}"

    def alias(self, mailbox: str) -> str:
        """Write a gmail.com mailbox in a way not used before, with dots and a tag."""
        while True:
            dotted = "".join(
                letter + ("." if i + 1 < len(mailbox) and self._rng.random() < 0.4 else "")
                for i, letter in enumerate(mailbox)
            )
            tag = f"+{int(self._rng.integers(1, 999))}" if self._rng.random() < 0.7 else ""
            written = f"{dotted}{tag}@gmail.com"
            if written not in self._taken:
                self._taken.add(written)
                return written

    def phone(self) -> str:
        """Return a new US number, written in one of the usual ways."""
        area = _AREAS[self._n_phones % len(_AREAS)]
        line = (100 + self._n_phones // len(_AREAS)) % 10_000  # 555-0100 to 555-0199 come first
        self._n_phones += 1
        style = int(self._rng.integers(3))
        number = f"{line:04d}"
        return (f"+1 {area} 555 {number}", f"({area}) 555-{number}", f"1-{area}-555-{number}")[style]
