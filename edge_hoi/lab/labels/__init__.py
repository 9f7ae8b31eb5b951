"""Ground truth for one's own video: drafted from events, corrected in a text file, in CVAT or in another tool, and read back with checks.

In and out: a `Truth` and files in four forms. docs/labelling.md describes each.
"""

from edge_hoi.lab.labels.drafting import draft_truth
from edge_hoi.lab.labels.forms import LabelForm, form_of, read_labels, write_labels
from edge_hoi.lab.labels.video import describe_video

__all__ = ["LabelForm", "describe_video", "draft_truth", "form_of", "read_labels", "write_labels"]
