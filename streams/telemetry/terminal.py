"""Foreign text made safe for a terminal."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def harmless(text: str, *, lines: bool = True) -> str:
    """The text with its control characters escaped: a terminal would obey them.

    Args:
        lines: whether to keep line breaks; else they are escaped too.
    """
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return text if lines else text.replace("\n", "\\n")
