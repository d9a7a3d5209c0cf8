"""Text that others wrote, made fit for a terminal."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def harmless(text: str, *, lines: bool = True) -> str:
    """The text with its control characters spelt out: a terminal would obey them.

    Args:
        lines: whether it may have several; else its line breaks are spelt out too.
    """
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return text if lines else text.replace("\n", "\\n")
