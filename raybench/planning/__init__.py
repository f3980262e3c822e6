"""From a job to its trials: what they are, what they share, what of them is done. No torch."""
