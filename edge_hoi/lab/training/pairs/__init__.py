"""Training of the pair head, the second stage of a two-stage detector, on annotations alone."""
