"""Learning bond strengths: descriptors, Gaussian process, calibration, evaluation, acquisition."""
