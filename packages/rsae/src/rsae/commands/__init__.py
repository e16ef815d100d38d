"""Commands of `rsae` that are a call of one library function each."""
