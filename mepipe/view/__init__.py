"""Pictures of what a store holds. Reads features, never computes them."""
