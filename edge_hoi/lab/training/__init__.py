"""Training HOICLIP: matching, losses, the loop, and what a training run starts from."""
