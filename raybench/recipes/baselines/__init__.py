"""What a candidate must beat: majority, classic models on words and pixels; `catalog` names them."""
