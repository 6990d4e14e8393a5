"""Protocols, label schemes, metrics, the fold loop and the run folder. Imports neither OpenCV nor MediaPipe."""
