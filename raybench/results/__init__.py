"""From trial rows to the tables a user reads: scores.parquet (long) and ranking.parquet (a row a configuration).

Pure functions of what the store holds; neither torch nor ray is imported.
"""
