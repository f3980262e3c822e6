"""What one process does on one device: rows made ready, fits, features, scoring. No Ray."""
