"""Free text in one spelling: case, width, composition, white space and invisible characters do not count."""

from __future__ import annotations

import re
import unicodedata

# Controls are invisible; white space among them (tab, line breaks) is dealt with as white space.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
# Default-ignorable code points outside category Cf (Unicode 15, DerivedCoreProperties.txt): joiners, fillers,
# variation selectors.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0100-\U000e01ef]"
)
_MOST_ROUNDS = 8


def folded(text: str) -> str:
    r"""Fold free text.

    NFKC and full case folding (Unicode, definition D146, ``toNFKC_Casefold``) until nothing changes any more;
    white space at the ends goes, inside it becomes single spaces.

    Args:
        text: Any text.

    Returns:
        The folded text; folding it again changes nothing.

    Example:
        >>> folded("  Ｓtraße\u200b\t NO. 7 ")
        'strasse no. 7'
    """
    if text.isascii():
        return " ".join(_CONTROLS.sub("", text).lower().split())
    now = text
    for _ in range(_MOST_ROUNDS):
        before = now
        kept = "".join(c for c in _IGNORABLE.sub("", now) if unicodedata.category(c) != "Cf")
        now = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", kept).casefold())
        now = " ".join(_CONTROLS.sub("", now).split())
        if now == before:
            break
    return now
