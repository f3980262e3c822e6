"""What a user sees on a terminal: the ranking, the plan, the state of a store."""
