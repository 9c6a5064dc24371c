"""Several processes receive: what they tell each other, and who keeps them."""
