"""Messages, topics and headers: the contracts that Kotae keeps with the outside.

Nothing here does I/O, and nothing here knows how a question is answered.
"""
