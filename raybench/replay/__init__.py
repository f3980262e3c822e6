"""One cell of a run again, here and without Ray: the same bits or what has changed, and its weights to keep."""
