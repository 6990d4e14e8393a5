"""The mathematics: pure functions on NumPy arrays. x points right, y points down, lengths are pixels."""
