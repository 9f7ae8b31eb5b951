"""Training: annotated images and initial weights in; checkpoints, metrics and resumable state out."""
