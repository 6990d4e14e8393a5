"""The local page over a store and its runs: `mepipe view`. It reads, and never writes."""
