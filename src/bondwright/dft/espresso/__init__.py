"""Quantum ESPRESSO: writing input of pw.x, running it, and reading what it printed."""
