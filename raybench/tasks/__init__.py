"""What is asked of a model: one file a task, each the `Task` protocol; `catalog` names them."""
