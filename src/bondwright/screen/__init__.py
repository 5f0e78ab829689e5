"""Screening: one kind of evidence about a candidate per module."""
