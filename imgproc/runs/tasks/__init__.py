"""Tasks of a user's own: any function over any items, with the rounds, proof and findings that images have."""
