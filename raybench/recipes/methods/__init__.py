"""How a candidate is adapted to a dataset: one file a method; `catalog` names them. No torch at import."""
