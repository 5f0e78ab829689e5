"""Density-functional theory: engines behind one small interface, and tasks that use any of them."""
