"""The models: one module each, and the backbones that they share."""
