"""Every setting, its only reader, and the secrets among them."""
