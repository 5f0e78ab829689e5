"""A glass project: its folder, and the steps from cells to predicted bonds."""
