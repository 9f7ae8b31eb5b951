"""Small annotation files of the published forms."""

import json

import numpy as np

PERSON, BICYCLE, DOG = 1, 2, 18
"""COCO's category ids."""


def published_hico():
    """Return two images: a person who rides and holds a bicycle, and one without annotations."""
    return [
        {
            "file_name": "HICO_train2015_00000001.jpg",
            "img_id": 1,
            "annotations": [
                {"bbox": [207, 32, 426, 299], "category_id": PERSON},
                {"bbox": [58, 97, 571, 404], "category_id": BICYCLE},
                {"bbox": [10, 10, 50, 90], "category_id": PERSON},
            ],
            "hoi_annotation": [
                {"subject_id": 0, "object_id": 1, "category_id": 77, "hoi_category_id": 19},  # ride bicycle
                {"subject_id": 0, "object_id": 1, "category_id": 37, "hoi_category_id": 12},  # hold bicycle
                {"subject_id": 2, "object_id": 1, "category_id": 58, "hoi_category_id": 24},  # no interaction
            ],
        },
        {"file_name": "HICO_train2015_00000002.jpg", "annotations": [], "hoi_annotation": []},
    ]


def published_vcoco():
    """Return one image: a person who stands, looks at something not visible, and holds a dog; and a bystander."""
    return [
        {
            "file_name": "COCO_val2014_000000000042.jpg",
            "annotations": [
                {"bbox": [1.5, 2.5, 50.0, 90.0], "category_id": PERSON},
                {"bbox": [20.0, 30.0, 60.0, 70.0], "category_id": DOG},
                {"bbox": [70.0, 30.0, 90.0, 70.0], "category_id": PERSON},
            ],
            "hoi_annotation": [
                {"subject_id": 0, "object_id": -1, "category_id": 1},
                {"subject_id": 0, "object_id": -1, "category_id": 5},
                {"subject_id": 0, "object_id": 1, "category_id": 0},
                {"subject_id": 0, "object_id": 1, "category_id": 13},  # carrying a dog is not one of the 263
            ],
        }
    ]


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_image(path, width=100, height=80, seed=0):
    """Write an image of coloured noise in large blots."""
    import PIL.Image

    blots = np.random.RandomState(seed).randint(0, 255, (4, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(blots).resize((width, height)).save(path, quality=95)
    return path
