"""Documents as text with a structure: plain text, blocks and chunks."""
