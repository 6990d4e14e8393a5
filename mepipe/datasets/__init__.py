"""Releases and manifests: what a database distributes, and the table of samples that mepipe makes of it."""
