"""Prints every document of the YAML files in a folder as one JSON list, each under its file's name."""

import json
import pathlib
import sys

import yaml

documents = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        documents.append({"file": path.name, "document": document})
print(json.dumps(documents))
