"""The laboratory: what makes and judges models, and never runs beside a camera.

In: data sets, checkpoints, engines. Out: trained weights, rendered images and videos, accuracy and speed figures.
"""
