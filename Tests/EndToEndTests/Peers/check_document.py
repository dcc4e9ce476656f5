"""Validates an OpenAPI document, and answers that the product gave against it.

    check_document.py DOCUMENT             the document alone
    check_document.py DOCUMENT ANSWERS     also the answers, one a line: {"method", "path", "status", "type", "body"}

Prints each fault once and ends with status 1 where there is one. Members of an answer that the document doesn't have are
faults too, although it leaves room for them: it is complete for the release that serves it.
"""

import collections
import copy
import json
import re
import sys

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator


def closed(schema):
    """The schema with objects that have only the members they name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def resolved(document, node):
    while "$ref" in node:
        reference, node = node["$ref"], document
        for name in reference[2:].split("/"):
            node = node[name]
    return node


def operations(document):
    """Patterns of the paths, those with fewer parameters first, and their operations."""
    paths = []
    for path, item in document["paths"].items():
        pattern = re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")
        paths.append((path.count("{"), path, pattern, item))
    return sorted(paths, key=lambda each: each[0])


def check(document, answer, paths):
    path = answer["path"].split("?")[0]
    method = "get" if answer["method"] == "HEAD" else answer["method"].lower()
    body = answer["body"]
    found = [(name, item) for _, name, pattern, item in paths if pattern.match(path)]
    operation = next((item[method] for _, item in found if method in item), None)
    if path.startswith("/api/docs/"):
        return  # the explorer's own files
    where = f'{answer["method"]} {found[0][0] if found else path} {answer["status"]}'
    if operation is None or answer["status"] == 405:
        # What no operation answers is a problem all the same; a preflight has no body.
        if answer["status"] not in (204, 404, 405):
            yield f"{where}: no operation, so 404 or 405 is due"
        schema = {"$ref": "#/components/schemas/Problem"} if answer["status"] != 204 else None
        types = {"application/problem+json": {"schema": schema}} if schema else {}
    else:
        response = operation["responses"].get(str(answer["status"]))
        if response is None:
            yield f"{where}: {operation['operationId']} has no such status"
            return
        types = resolved(document, response).get("content", {})
    kind = (answer["type"] or "").split(";")[0]
    if answer["method"] == "HEAD":
        return
    if not types:
        if body:
            yield f"{where}: a body where none is due"
        return
    if kind not in types:
        yield f"{where}: {kind or 'no content type'} instead of {', '.join(types)}"
        return
    if not kind.endswith("json"):
        return
    schema = dict(types[kind]["schema"], components=document["components"])
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    for error in validator.iter_errors(json.loads(body)):
        place = "/".join(str(each) for each in error.absolute_path if not isinstance(each, int))
        yield f"{where}: /{place} {error.message[:200]}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    faults = collections.OrderedDict()
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        faults[f"the document: {'/'.join(map(str, error.absolute_path))} {error.message[:300]}"] = None
    count = 0
    seen = collections.Counter()
    if len(sys.argv) > 2 and not faults:
        strict = copy.deepcopy(document)
        strict["components"]["schemas"] = closed(document["components"]["schemas"])
        paths = operations(strict)
        with open(sys.argv[2], encoding="utf-8") as file:
            for line in file:
                answer = json.loads(line)
                count += 1
                for fault in check(strict, answer, paths):
                    faults[fault] = None
                seen[answer["status"]] += 1
    for fault in faults:
        print(fault)
    print(f"{len(document['paths'])} paths, {count} answers, {len(faults)} faults", file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
