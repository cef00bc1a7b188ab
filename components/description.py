"""As much of a text as a place has room for, cut where a reader would stop."""

from __future__ import annotations


def shortened(text: str, *, most: int, rest: str) -> str:
    """A Markdown text if it fits; else its first whole paragraphs, list items and table rows, and where the rest is.

    Args:
        most: characters there is room for.
        rest: a sentence that says where the whole text is.

    >>> shortened("# A\\n\\nOne.\\n\\nTwo, which is longer.\\n", most=24, rest="More: B.")
    '# A\\n\\nOne.\\n\\nMore: B.\\n'
    """
    if len(text) <= most:
        return text
    room = most - len(rest) - 3
    kept: list[str] = []
    for block in text.strip().split("\n\n"):
        part = _that_fits(block, room)
        kept += [part] if part else []
        room -= len(part) + 2
        if part != block:
            break
    # A heading announces what was left out.
    while kept and kept[-1].startswith("#") and len(kept) > 1:
        kept.pop()
    return "\n\n".join([*kept, rest]) + "\n"


def _that_fits(block: str, room: int) -> str:
    """A block, or its first rows or items; nothing where not one of them fits."""
    if len(block) <= room:
        return block
    kept: list[str] = []
    for line in block.split("\n"):
        if not line.startswith(("|", "- ")):
            break  # a sentence may go on in this line
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    # A table's two first lines are its head.
    return "\n".join(kept) if len(kept) > (2 if block.startswith("|") else 0) else ""
