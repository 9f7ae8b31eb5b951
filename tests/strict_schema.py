"""Published schemas as this program itself has to fit them: without keys that are not described."""

import copy


def closed(schema):
    """Return a copy of a JSON Schema in which every described object has the described keys only."""
    schema = copy.deepcopy(schema)
    for part in open_objects(schema):
        part["additionalProperties"] = False
    return schema


def open_objects(schema):
    """Yield every object of a JSON Schema that says that further keys may come."""
    if isinstance(schema, dict):
        if schema.get("additionalProperties") is True:
            yield schema
        for value in schema.values():
            yield from open_objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from open_objects(value)
