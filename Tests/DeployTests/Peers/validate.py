"""Checks the objects in a folder: those of Kubernetes by kubernetes-validate, strictly; those of others by a field list.

The list holds, of the newest custom resource definitions of KEDA (kedacore/keda, config/crd/bases, 8b4f083) and of the
Gateway API's standard channel (kubernetes-sigs/gateway-api, config/crd/standard, 4564255), the fields of what we make with
their types; a field that is no longer in it is a fault. What a trigger's metadata may hold is KEDA's
pkg/scalers/metrics_api_scaler.go at the same commit.
"""

import pathlib
import sys

import kubernetes_validate
import yaml

REFERENCE = {"name!": str, "namespace": str, "group": str, "kind": str, "port": int, "sectionName": str}
OTHERS = {
    ("keda.sh/v1alpha1", "ScaledObject"): {
        "scaleTargetRef!": {"name!": str, "apiVersion": str, "kind": str, "envSourceContainerName": str},
        "pollingInterval": int,
        "cooldownPeriod": int,
        "initialCooldownPeriod": int,
        "idleReplicaCount": int,
        "minReplicaCount": int,
        "maxReplicaCount": int,
        "fallback": {"failureThreshold!": int, "replicas!": int, "behavior": str},
        "triggers!": [
            {
                "type!": str,
                "name": str,
                "metricType": str,
                "useCachedMetrics": bool,
                "authenticationRef": {"name!": str, "kind": str},
                "metadata!": {
                    "url!": str,
                    "format": str,
                    "valueLocation!": str,
                    "targetValue!": str,
                    "activationTargetValue": str,
                    "authMode": str,
                    "unsafeSsl": str,
                    "timeout": str,
                },
            }
        ],
    },
    ("keda.sh/v1alpha1", "TriggerAuthentication"): {
        "secretTargetRef": [{"parameter!": str, "name!": str, "key!": str}],
    },
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): {
        "parentRefs": [REFERENCE],
        "hostnames": [str],
        "rules": [
            {
                "name": str,
                "backendRefs": [REFERENCE | {"weight": int}],
                "timeouts": {"request": str, "backendRequest": str},
            }
        ],
    },
}
METADATA = {"name!": str, "namespace!": str, "labels": dict}


def faults(value, shape, place):
    if isinstance(shape, type):
        # A bool is an int to Python, but not to them.
        if not isinstance(value, shape) or isinstance(value, bool) and shape is not bool:
            yield f"{place} is not {shape.__name__}: {value!r}"
    elif isinstance(shape, list):
        if not isinstance(value, list) or not value:
            yield f"{place} is no list of something"
            return
        for index, item in enumerate(value):
            yield from faults(item, shape[0], f"{place}[{index}]")
    else:
        if not isinstance(value, dict):
            yield f"{place} is no mapping"
            return
        known = {name.rstrip("!"): inner for name, inner in shape.items()}
        for name in (name[:-1] for name in shape if name.endswith("!")):
            if name not in value:
                yield f"{place}.{name} is missing"
        for name, item in value.items():
            if name in known:
                yield from faults(item, known[name], f"{place}.{name}")
            else:
                yield f"{place}.{name} is unknown"


count, found = 0, []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        kind = (document["apiVersion"], document["kind"])
        place = f"{path.name}: {document['kind']} {document['metadata']['name']}"
        count += 1
        if kind in OTHERS:
            shape = {"apiVersion!": str, "kind!": str, "metadata!": METADATA, "spec!": OTHERS[kind]}
            found += faults(document, shape, place)
            continue
        try:
            kubernetes_validate.validate(document, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{place}: {error.message}")
print(f"{count} objects, {len(found)} faults")
print("\n".join(found), file=sys.stderr)
sys.exit(1 if found else 0)
