"""Phrase books: what the interface says in English, sentence for sentence in other languages."""
