"""Bond strengths: -ICOHP from H and S, LOBSTER files, bond tables and their analysis."""
