extension Manifest {
    /// The JSON Schema (draft 2020-12) of the file, for editors that complete and check while one types.
    ///
    /// It knows the shape only; what refers to something else in the file is for ``parse(_:file:)``.
    package static let jsonSchema = #"""
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "title": "functions.yaml",
          "description": "Every function of a product with its trigger and limits, and the settings they use.",
          "type": "object",
          "required": ["version", "name", "functions"],
          "additionalProperties": false,
          "properties": {
            "version": { "const": 1 },
            "name": { "$ref": "#/$defs/label", "description": "The product's name." },
            "variables": {
              "description": "Every setting, typed, checked at the start; a function sees only what it uses.",
              "type": "object",
              "propertyNames": { "pattern": "^[A-Z][A-Z0-9_]*$" },
              "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/variable" }, { "type": "null" }] }
            },
            "defaults": {
              "description": "Merged under every function: a list replaces, a mapping merges.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "timeout": { "$ref": "#/$defs/timeout" },
                "idle_timeout": { "$ref": "#/$defs/duration" },
                "uses": { "$ref": "#/$defs/uses" },
                "group": { "$ref": "#/$defs/label" },
                "params": { "$ref": "#/$defs/params" },
                "http": {
                  "type": "object",
                  "additionalProperties": false,
                  "properties": {
                    "timeout": { "$ref": "#/$defs/timeout" },
                    "idle_timeout": { "$ref": "#/$defs/duration" },
                    "uses": { "$ref": "#/$defs/uses" },
                    "group": { "$ref": "#/$defs/label" },
                    "access": { "$ref": "#/$defs/access" },
                    "body_limit": { "$ref": "#/$defs/bodyLimit" },
                    "concurrency": { "$ref": "#/$defs/count" },
                    "params": { "$ref": "#/$defs/params" }
                  }
                },
                "queue": {
                  "type": "object",
                  "additionalProperties": false,
                  "properties": {
                    "timeout": { "$ref": "#/$defs/timeout" },
                    "idle_timeout": { "$ref": "#/$defs/duration" },
                    "uses": { "$ref": "#/$defs/uses" },
                    "group": { "$ref": "#/$defs/label" },
                    "batch": { "$ref": "#/$defs/count" },
                    "concurrency": { "$ref": "#/$defs/count" },
                    "attempts": { "$ref": "#/$defs/attempts" },
                    "backoff": { "$ref": "#/$defs/backoff" }
                  }
                },
                "schedule": {
                  "type": "object",
                  "additionalProperties": false,
                  "properties": {
                    "timeout": { "$ref": "#/$defs/timeout" },
                    "idle_timeout": { "$ref": "#/$defs/duration" },
                    "uses": { "$ref": "#/$defs/uses" },
                    "group": { "$ref": "#/$defs/label" },
                    "timezone": { "type": "string" },
                    "overlap": { "$ref": "#/$defs/overlap" }
                  }
                }
              }
            },
            "groups": {
              "description": "One process or container each, when split.",
              "type": "object",
              "propertyNames": { "$ref": "#/$defs/label" },
              "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {
                  "scale": { "type": ["string", "integer"], "pattern": "^[0-9]+(\\.\\.[0-9]+)?$", "examples": ["2..20"] },
                  "doc": { "type": "string" }
                }
              }
            },
            "queues": {
              "description": "The queues that functions may name, the most urgent first.",
              "type": "object",
              "propertyNames": { "$ref": "#/$defs/queueName" },
              "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {
                  "doc": { "type": "string" },
                  "reserve": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1000,
                    "description": "How many calls of its workers a process always has room for."
                  }
                }
              }
            },
            "functions": {
              "type": "object",
              "propertyNames": { "pattern": "^[a-z0-9]+(-[a-z0-9]+)+$", "maxLength": 63 },
              "additionalProperties": { "$ref": "#/$defs/function" }
            }
          },
          "$defs": {
            "label": { "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 63 },
            "queueName": { "type": "string", "pattern": "^[A-Za-z0-9_.-]+$" },
            "duration": { "type": "string", "pattern": "^[0-9]{1,12}(ms|s|m|h|d)$", "examples": ["250ms", "10s", "5m"] },
            "timeout": { "anyOf": [{ "$ref": "#/$defs/duration" }, { "const": "none" }] },
            "size": { "type": "string", "pattern": "^[0-9]{1,12}(B|KiB|MiB|GiB)$", "examples": ["64KiB", "1MiB"] },
            "bodyLimit": {
              "description": "Bytes that a request's body may have; as a mapping, by content type or \"default\".",
              "anyOf": [
                { "$ref": "#/$defs/size" },
                { "type": "object", "additionalProperties": { "$ref": "#/$defs/size" } }
              ]
            },
            "access": { "enum": ["public", "member", "admin"], "description": "member is both roles." },
            "overlap": {
              "enum": ["skip", "run"],
              "description": "What becomes of a fire while the one before still runs."
            },
            "count": { "type": "integer", "minimum": 1, "maximum": 10000 },
            "attempts": { "type": "integer", "minimum": 1, "maximum": 1000 },
            "backoff": {
              "type": "string",
              "pattern": "^(none|fixed [0-9]+(ms|s|m|h|d)|exponential [0-9]+(ms|s|m|h|d)( max [0-9]+(ms|s|m|h|d))?)$",
              "examples": ["exponential 2s max 10m", "fixed 5s"]
            },
            "uses": {
              "description": "Names of the variables that a function sees.",
              "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "uniqueItems": true }]
            },
            "params": {
              "type": "object",
              "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9]*$" },
              "additionalProperties": { "enum": ["uuid", "integer", "string"] }
            },
            "variable": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "type": { "enum": ["string", "int", "bool", "duration", "size", "url", "enum"] },
                "default": { "type": ["string", "number", "boolean"] },
                "secret": { "type": "boolean", "description": "Never shown." },
                "required": { "type": "boolean", "description": "False: may stay unset without a default." },
                "shared": { "type": "boolean", "description": "Common to all processes: a container needs it." },
                "min_length": { "type": "integer", "minimum": 1 },
                "min": { "type": "integer" },
                "max": { "type": "integer" },
                "enum": { "type": "array", "items": { "type": ["string", "number", "boolean"] }, "minItems": 1 },
                "doc": { "type": "string" }
              }
            },
            "function": {
              "type": "object",
              "required": ["handler"],
              "additionalProperties": false,
              "oneOf": [{ "required": ["http"] }, { "required": ["queue"] }, { "required": ["schedule"] }],
              "properties": {
                "handler": {
                  "type": "string",
                  "pattern": "^[A-Z][A-Za-z0-9]*/[A-Z][A-Za-z0-9]*$",
                  "description": "Folder and type; the type is the name in UpperCamelCase."
                },
                "http": {
                  "type": "string",
                  "pattern": "^(GET|POST|PUT|PATCH|DELETE) /",
                  "examples": ["POST /orgs/:orgId/tickets"]
                },
                "queue": { "$ref": "#/$defs/queueName" },
                "schedule": { "type": "string", "description": "Cron: 5 fields, or 6 with seconds.", "examples": ["*/15 * * * *"] },
                "timezone": { "type": "string", "description": "IANA name; UTC unless said.", "examples": ["Europe/Berlin"] },
                "overlap": { "$ref": "#/$defs/overlap" },
                "access": { "$ref": "#/$defs/access" },
                "timeout": { "$ref": "#/$defs/timeout" },
                "idle_timeout": { "$ref": "#/$defs/duration" },
                "body_limit": { "$ref": "#/$defs/bodyLimit" },
                "params": { "$ref": "#/$defs/params" },
                "batch": { "$ref": "#/$defs/count", "description": "The most jobs in one call." },
                "concurrency": { "$ref": "#/$defs/count", "description": "The most calls at once in one process." },
                "attempts": { "$ref": "#/$defs/attempts" },
                "backoff": { "$ref": "#/$defs/backoff" },
                "uses": { "$ref": "#/$defs/uses" },
                "group": { "$ref": "#/$defs/label" },
                "doc": { "type": "string" }
              }
            }
          }
        }

        """#
}
