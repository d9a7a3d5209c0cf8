"""Words of all languages: sentences, terms, and the language of a text. Pure."""
