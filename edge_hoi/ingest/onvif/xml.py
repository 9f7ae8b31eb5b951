"""Read XML of strangers: bounded, and without document types, which could define entities."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_BYTES = 1 << 20
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 64


def parse_xml(data: bytes) -> Element:
    """Parse a document; the tags of its elements are without their namespaces, in which cameras differ.

    Args:
        data: At most `MAX_BYTES`, of any encoding that XML allows.

    Raises:
        ValueError: It is larger, no XML, has a document type, or too many elements or levels. The text does not quote it.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES >> 20} MiB")
    builder, depth, elements = TreeBuilder(), 0, 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > _MAX_DEPTH or elements > _MAX_ELEMENTS:
            raise ValueError(f"XML of more than {_MAX_ELEMENTS} elements or {_MAX_DEPTH} levels")
        builder.start(tag.rpartition(":")[2], attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag.rpartition(":")[2])

    def refuse(*_: object) -> None:
        raise ValueError("XML with a document type")

    parser = expat.ParserCreate()  # with namespaces, it would copy a long one into each different tag
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an unknown encoding
        raise ValueError("no XML") from error
    return builder.close()


def text_of(element: Element | None, *path: str) -> str:
    """Return the text of the first descendant that is reached by these tags one after another; an empty one if there is none."""
    for tag in path:
        element = None if element is None else next(element.iter(tag), None)
    return "" if element is None else (element.text or "").strip()
