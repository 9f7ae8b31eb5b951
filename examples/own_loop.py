"""Detect inside a loop of your own, here OpenCV's, whose images are BGR: `python examples/own_loop.py [VIDEO]`."""

import sys

import cv2

import edge_hoi as hoi

capture = cv2.VideoCapture(sys.argv[1] if len(sys.argv) > 1 else str(hoi.DEMO_CLIP))
detector = hoi.Detector("default", threshold=0.8)
number = 0
while True:
    is_read, image = capture.read()
    if not is_read:
        break
    if number % 30 == 0:
        interactions = detector(image, image_format="bgr")
        print(f"frame {number}: {', '.join(one.text for one in interactions if one.is_interaction) or 'nothing'}")
    number += 1
detector.close()
