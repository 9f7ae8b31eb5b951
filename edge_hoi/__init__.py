"""Human-object interaction detection on video at the edge, with HOICLIP."""

__version__ = "0.1.0"
