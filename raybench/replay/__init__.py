"""One cell of a run again, without Ray: the same bits or what has changed, its weights to keep, the why of answers."""
