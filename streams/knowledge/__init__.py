"""The documents topic into the index: read (consumer), understood (changes), indexed (feed)."""
