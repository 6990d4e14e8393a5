"""mepipe: micro-expression databases to checked, cached, shareable features, and trainers that read them."""

__version__ = "0.1.0"
