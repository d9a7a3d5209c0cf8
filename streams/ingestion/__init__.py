"""Files into documents: which there are (files), what is in them (formats), onto the topic (sending)."""
