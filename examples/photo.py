"""Detect the interactions in a photo and draw them: `python examples/photo.py photo.jpg drawn.png`."""

import sys

import edge_hoi as hoi
from edge_hoi.media import write_image

photo, drawn = sys.argv[1], sys.argv[2]
with hoi.Detector("default") as detector, hoi.open_source(photo, source_id="photo") as source:
    image = next(iter(source)).image
    interactions = detector(image)
for interaction in interactions:
    print(f"{interaction.score:.2f} {interaction.text} {interaction.human_box} {interaction.object_box}")
write_image(drawn, hoi.annotate(image, interactions))
print(f"{len(interactions)} interactions, drawn in {drawn}")
