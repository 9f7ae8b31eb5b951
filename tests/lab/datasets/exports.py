"""Small exports of two images, as labelling tools write them: in `street.jpg` a person rides a bicycle beside another; `empty.jpg`."""

import json

from annotation_files import write_image, write_json

RIDER, WALKER, BICYCLE = [10.5, 20, 40.5, 70], [60, 20, 80, 70], [20, 40, 60, 75]
SIZE = (100, 80)


def write_images(folder, street="street.jpg", empty="empty.jpg"):
    write_image(folder / street, *SIZE)
    write_image(folder / empty, *SIZE, seed=1)


def wh(box):
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def coco(folder):
    """Write CVAT's COCO 1.0: `annotations/instances_default.json` and `images/default`; attributes are its extension."""
    write_images(folder / "images" / "default")

    def annotation(key, category, box, **attributes):
        left, top, width, height = wh(box)
        form = {"id": key, "image_id": 1, "category_id": category, "segmentation": [], "area": width * height}
        return form | {"bbox": [left, top, width, height], "iscrowd": 0, "attributes": {"occluded": False, "rotation": 0.0} | attributes}

    image = {"width": 100, "height": 80, "license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    content = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [{"id": 1, "name": "person", "supercategory": ""}, {"id": 2, "name": "bicycle", "supercategory": ""}],
        "images": [{"id": 1, "file_name": "street.jpg"} | image, {"id": 2, "file_name": "empty.jpg"} | image],
        "annotations": [
            annotation(1, 1, RIDER, interaction="none"),
            annotation(2, 1, WALKER, interaction="none"),
            annotation(3, 2, BICYCLE, interaction="ride", human="1"),
            annotation(4, 1, WALKER) | {"iscrowd": 1, "segmentation": {"counts": [0], "size": [80, 100]}},
        ],
    }
    return write_json(folder / "annotations" / "instances_default.json", content)


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>street</name>
      <size>2</size>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>bicycle</name>
          <color>#33ddff</color>
          <type>rectangle</type>
          <attributes>
            <attribute>
              <name>interaction</name>
              <mutable>False</mutable>
              <input_type>select</input_type>
              <default_value>none</default_value>
              <values>none
ride
push</values>
            </attribute>
          </attributes>
        </label>
      </labels>
    </task>
    <dumped>2024-05-06 07:08:09.101112+00:00</dumped>
  </meta>
  <image id="0" name="empty.jpg" width="100" height="80">
    <tag label="reviewed" source="manual">
    </tag>
  </image>
  <image id="1" name="street.jpg" width="100" height="80">
    <box label="person" source="manual" occluded="0" xtl="60.00" ytl="20.00" xbr="80.00" ybr="70.00" z_order="0">
    </box>
    <box label="person" source="manual" occluded="0" xtl="10.50" ytl="20.00" xbr="40.50" ybr="70.00" z_order="0" group_id="1">
    </box>
    <box label="bicycle" source="manual" occluded="0" xtl="20.00" ytl="40.00" xbr="60.00" ybr="75.00" z_order="0" group_id="1">
      <attribute name="interaction">ride</attribute>
    </box>
    <polygon label="road" source="manual" occluded="0" points="0.00,70.00;99.00,70.00;50.00,79.00" z_order="0">
    </polygon>
  </image>
</annotations>
"""


def cvat(folder):
    """Write CVAT for images 1.1: `annotations.xml` and `images`."""
    write_images(folder / "images")
    path = folder / "annotations.xml"
    path.write_text(CVAT)
    return path


def label_studio(folder):
    """Write Label Studio's JSON export; the images are uploads, which it names with eight digits before."""
    write_images(folder / "images", "1a2b3c4d-street.jpg", "5e6f7a8b-empty.jpg")

    def rectangle(key, label, box):
        left, top, width, height = wh(box)
        value = {"x": left, "y": top / 80 * 100, "width": width, "height": height / 80 * 100, "rotation": 0, "rectanglelabels": [label]}
        form = {"original_width": 100, "original_height": 80, "image_rotation": 0, "value": value, "id": key}
        return form | {"from_name": "label", "to_name": "image", "type": "rectanglelabels", "origin": "manual"}

    def task(key, upload, *result):
        annotation = {"id": key, "completed_by": 1, "result": list(result), "was_cancelled": False, "ground_truth": False, "lead_time": 9.5}
        form = {"id": key, "annotations": [annotation], "file_upload": upload, "drafts": [], "predictions": []}
        return form | {"data": {"image": f"/data/upload/1/{upload}"}, "meta": {}, "created_at": "2024-05-06T07:08:09.1Z", "project": 1}

    relation = {"from_id": "Aa1", "to_id": "Cc3", "type": "relation", "direction": "right", "labels": ["riding"]}
    street = (rectangle("Aa1", "person", RIDER), rectangle("Bb2", "person", WALKER), rectangle("Cc3", "bicycle", BICYCLE), relation)
    skipped = task(3, "9c0d1e2f-later.jpg") | {"annotations": []}
    return write_json(
        folder / "project-1-at-2024-05-06-07-08-1a2b3c4d.json",
        [task(1, "1a2b3c4d-street.jpg", *street), task(2, "5e6f7a8b-empty.jpg"), skipped],
    )


def _yolo_lines():
    rows = [(0, RIDER), (0, WALKER), (1, BICYCLE)]
    return [
        f"{index} {(box[0] + box[2]) / 200:.6f} {(box[1] + box[3]) / 160:.6f} {(box[2] - box[0]) / 100:.6f} {(box[3] - box[1]) / 80:.6f}"
        for index, box in rows
    ]


def yolo(folder):
    """Write CVAT's Ultralytics YOLO Detection 1.0, and the interactions beside the labels."""
    write_images(folder / "images" / "train")
    (folder / "data.yaml").write_text("names:\n  0: person\n  1: bicycle\npath: .\ntrain: train.txt\n")
    (folder / "train.txt").write_text("data/images/train/street.jpg\ndata/images/train/empty.jpg\n")
    labels = folder / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "street.txt").write_text("\n".join(_yolo_lines()) + "\n")
    (labels / "empty.txt").write_text("")
    (labels / "street.interactions.txt").write_text("1 3 ride\n")
    return folder


def yolo_darknet(folder):
    """Write CVAT's YOLO 1.1: names in `obj.names`, labels beside the images."""
    data = folder / "obj_train_data"
    write_images(data)
    (folder / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    (folder / "obj.names").write_text("person\nbicycle\n")
    (folder / "train.txt").write_text("data/obj_train_data/street.jpg\ndata/obj_train_data/empty.jpg\n")
    (data / "street.txt").write_text("\n".join(_yolo_lines()) + "\n")
    (data / "street.interactions.txt").write_text("1 3 riding\n")
    return folder


def yolo_label_studio(folder):
    """Write Label Studio's YOLO with images: `classes.txt`, `notes.json`, `images`, `labels`."""
    write_images(folder / "images", "1a2b3c4d-street.jpg", "5e6f7a8b-empty.jpg")
    (folder / "classes.txt").write_text("person\nbicycle")
    categories = [{"id": 0, "name": "person"}, {"id": 1, "name": "bicycle"}]
    notes = {"categories": categories, "info": {"year": 2024, "version": "1.0", "contributor": "Label Studio"}}
    (folder / "notes.json").write_text(json.dumps(notes, indent=2))
    labels = folder / "labels"
    labels.mkdir()
    (labels / "1a2b3c4d-street.txt").write_text("\n".join(_yolo_lines()))
    (labels / "5e6f7a8b-empty.txt").write_text("")
    (labels / "1a2b3c4d-street.interactions.txt").write_text("1 3 ride")
    return folder


EXPORTS = {
    "coco": ("coco", coco),
    "cvat": ("cvat", cvat),
    "label-studio": ("label-studio", label_studio),
    "yolo": ("yolo", yolo),
    "yolo darknet": ("yolo", yolo_darknet),
    "yolo label-studio": ("yolo", yolo_label_studio),
}
