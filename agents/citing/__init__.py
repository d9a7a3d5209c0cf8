"""The room of citations: marks in an answer's text, and the quotes that support what it says."""
