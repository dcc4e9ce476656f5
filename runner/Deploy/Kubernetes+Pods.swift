import Manifest

extension Kubernetes {
    /// What one container of a pod runs.
    struct Container {
        let arguments: [String]
        let environment: [YAML]
        /// Where it answers probes; `nil` for what ends by itself.
        let port: Int?
        var takesRequests = false
    }

    /// For so many seconds after it is told to end a pod still answers: until nobody sends it requests any more.
    static let farewell = 5

    func pods(_ name: String, _ container: Container, scale: ClosedRange<Int>, grace: Int) -> YAML {
        [
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(name, component: name),
            "spec": [
                // Where something scales it, that alone says how many there are.
                "replicas": scale.count > 1 ? nil : .number(scale.lowerBound),
                "revisionHistoryLimit": 3,
                "strategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": "25%", "maxUnavailable": 0]],
                "selector": ["matchLabels": labels(name)],
                "template": [
                    "metadata": ["labels": labels(name)],
                    "spec": pod(container, grace: grace, spreading: scale.upperBound > 1 ? name : nil),
                ],
            ],
        ]
    }

    func pod(_ container: Container, grace: Int, restart: String? = nil, spreading name: String? = nil) -> YAML {
        let probe = { (path: String, rest: [(key: String, value: YAML)]) -> YAML? in
            container.port == nil
                ? nil : .mapping([("httpGet", ["path": .text(path), "port": "http"])] + rest)
        }
        let main: YAML = [
            "name": "runner",
            "image": .text(deployment.image),
            "args": .list(container.arguments.map { .text($0) }),
            "env": container.environment.isEmpty ? nil : .list(container.environment),
            "ports": container.port.map { [["name": "http", "containerPort": .number($0)]] },
            "startupProbe": probe("/health", [("periodSeconds", 1), ("failureThreshold", 60)]),
            "readinessProbe": probe(
                "/ready",
                [("periodSeconds", 5), ("timeoutSeconds", 3), ("failureThreshold", 2)]
            ),
            "livenessProbe": probe(
                "/health",
                [("periodSeconds", 10), ("timeoutSeconds", 3), ("failureThreshold", 6)]
            ),
            // A host that is asked to end accepts nothing more, and others learn only later that it does.
            "lifecycle": container.takesRequests
                ? ["preStop": ["sleep": ["seconds": .number(Self.farewell)]]] : nil,
            "resources": .remarked(
                "No limit of the processor's time: who is throttled answers late.",
                [
                    "requests": ["cpu": container.takesRequests ? "250m" : "100m", "memory": "128Mi"],
                    "limits": ["memory": "512Mi"],
                ]
            ),
            "securityContext": [
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": ["drop": ["ALL"]],
            ],
            "volumeMounts": [["name": "tmp", "mountPath": "/tmp"]],
        ]
        return [
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": restart.map { .text($0) },
            "terminationGracePeriodSeconds": .number(grace),
            "securityContext": [
                "runAsNonRoot": true,
                "runAsUser": .number(Dockerfile.user),
                "runAsGroup": .number(Dockerfile.user),
                "fsGroup": .number(Dockerfile.user),
                "seccompProfile": ["type": "RuntimeDefault"],
            ],
            "topologySpreadConstraints": name.map { name in
                [
                    [
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": ["matchLabels": labels(name)],
                    ]
                ]
            },
            "containers": [main],
            "volumes": [["name": "tmp", "emptyDir": ["sizeLimit": "1Gi"]]],
        ]
    }

    func service(_ name: String, port: Int) -> YAML {
        [
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(name, component: name),
            "spec": [
                "selector": labels(name),
                "ports": [["name": "http", "port": .number(port), "targetPort": "http"]],
            ],
        ]
    }

    /// Settings by their values, secrets by reference.
    func environment(_ variables: [Variable]) -> [YAML] {
        deployment.settings(of: variables).map { ["name": .text($0.name), "value": .text($0.value)] }
            + variables.filter(\.isSecret).map { secret in
                [
                    "name": .text(secret.name),
                    "valueFrom": [
                        "secretKeyRef": [
                            "name": .text(product), "key": .text(secret.name),
                            "optional": isNeeded(secret) ? nil : true,
                        ]
                    ],
                ]
            }
    }

    func labels(_ component: String) -> YAML {
        [
            "app.kubernetes.io/name": .text(product),
            "app.kubernetes.io/component": .text(component),
            "app.kubernetes.io/part-of": .text(product),
        ]
    }

    func metadata(_ name: String, component: String) -> YAML {
        ["name": .text(name), "namespace": .text(namespace), "labels": labels(component)]
    }
}
