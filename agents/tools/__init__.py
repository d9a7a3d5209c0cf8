"""The tools that a question may call, and the one way to call them."""
