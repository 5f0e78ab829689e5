"""The crystal language model: crystals as text, a network that writes it, and its training."""
