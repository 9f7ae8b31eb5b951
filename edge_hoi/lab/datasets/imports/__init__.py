"""Import of data sets that were labelled in other tools, as custom data sets."""

from edge_hoi.lab.datasets.imports.importing import FORMS, Imported, import_dataset

__all__ = ["FORMS", "Imported", "import_dataset"]
