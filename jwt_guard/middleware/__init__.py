"""Doors: they turn a framework's request into ours and our decision into its answer, and decide nothing."""
