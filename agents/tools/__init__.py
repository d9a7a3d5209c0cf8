"""Tools: what a question may call while it is answered, and the one way in which they are called."""
