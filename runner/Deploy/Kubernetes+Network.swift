extension Kubernetes {
    /// Nothing reaches anything but what is named here.
    var policies: [YAML] {
        let called = deployment.workloads.filter(\.hasRequests).map(\.name)
        let calling = deployment.workloads.filter(\.hasWork).map(\.name)
        var policies = [
            policy("nothing", everything, ["policyTypes": ["Ingress", "Egress"]]),
            policy(
                "names",
                everything,
                [
                    "policyTypes": ["Egress"],
                    "egress": [["ports": [["protocol": "UDP", "port": 53], ["protocol": "TCP", "port": 53]]]],
                ]
            ),
            policy(
                "gateway",
                ["matchLabels": labels("gateway")],
                [
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": .remarked(
                        "From wherever the entrance runs.",
                        [["ports": [tcp(Deployment.gatewayPort)]]]
                    ),
                    "egress": [["to": [["podSelector": components(called)]], "ports": [tcp(Deployment.hostPort)]]],
                ]
            ),
            policy(
                "requests",
                components(called),
                [
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [
                        [
                            "from": [["podSelector": ["matchLabels": labels("gateway")]]],
                            "ports": [tcp(Deployment.hostPort)],
                        ]
                    ],
                    "egress": .remarked(
                        "PostgreSQL, PgBouncer, Redis, Redis by TLS.",
                        [["to": beyond, "ports": [tcp(5432), tcp(6432), tcp(6379), tcp(6380)]]]
                    ),
                ]
            ),
            policy(
                "migrate",
                ["matchLabels": labels("migrate")],
                ["policyTypes": ["Egress"], "egress": [["to": beyond, "ports": [tcp(5432)]]]]
            ),
        ]
        if !calling.isEmpty {
            policies.append(
                policy(
                    "workers",
                    components(calling),
                    [
                        "policyTypes": ["Egress"],
                        "egress": .remarked(
                            "Providers, mail servers, stores and webhook endpoints may be anywhere, on any port; the product itself "
                                + "asks no private addresses for others.",
                            [["to": beyond]]
                        ),
                    ]
                )
            )
        }
        if let source = metricsSource {
            policies.append(
                policy(
                    "metrics",
                    ["matchLabels": labels(source.name)],
                    [
                        "policyTypes": ["Ingress"],
                        "ingress": [
                            [
                                "from": [
                                    ["namespaceSelector": ["matchLabels": ["kubernetes.io/metadata.name": "keda"]]]
                                ],
                                "ports": [tcp(Deployment.hostPort)],
                            ]
                        ],
                    ]
                )
            )
        }
        return policies
    }

    /// Everywhere but the links on which clouds give out their machines' credentials.
    private var beyond: YAML {
        [
            ["ipBlock": ["cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]]],
            ["ipBlock": ["cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128"]]],
        ]
    }

    private var everything: YAML { ["matchLabels": ["app.kubernetes.io/part-of": .text(product)]] }

    private func components(_ names: [String]) -> YAML {
        [
            "matchLabels": ["app.kubernetes.io/part-of": .text(product)],
            "matchExpressions": [
                [
                    "key": "app.kubernetes.io/component", "operator": "In",
                    "values": .list(names.map { .text($0) }),
                ]
            ],
        ]
    }

    private func tcp(_ port: Int) -> YAML { ["protocol": "TCP", "port": .number(port)] }

    private func policy(_ name: String, _ pods: YAML, _ rules: YAML) -> YAML {
        guard case .mapping(let entries) = rules else { return rules }
        return [
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(name, component: "network"),
            "spec": .mapping([("podSelector", pods)] + entries),
        ]
    }
}
