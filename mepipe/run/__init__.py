"""Extraction: what is missing, who computes it, and what became of it. Knows stages and the store, never faces."""
