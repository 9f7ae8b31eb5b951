"""What `import edge_hoi` offers: detection in images, tracked streams, and watching sources for events.

In: images, files, URLs, configurations. Out: `Interactions`, frames with `TrackedInteractions`, `Event`s.
"""
