"""One page about runs: gathered from run folders and the store, as HTML, LaTeX and CSV. Computes no prediction anew."""
