"""One cell of a run again, here and without Ray: the same bits or what has changed, its weights to keep, why it says what it says."""
