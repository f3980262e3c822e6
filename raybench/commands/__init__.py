"""Commands of the command line beside those of a job, by concern; heavy imports live inside them."""
