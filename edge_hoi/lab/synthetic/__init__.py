"""The rendered world: images and videos of drawn people who use objects, with their ground truth.

In: seeds. Out: images with annotations, videos with ground-truth episodes.
"""
