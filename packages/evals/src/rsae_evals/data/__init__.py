"""The evaluation set: held-out tokens, their activations, and the SAEs to compare on them."""
