extension Kubernetes {
    /// Who tells the length of every queue: a host of schedules, since there is always one.
    var metricsSource: Workload? { deployment.workloads.first(where: \.hasSchedules) }

    func processorScaling(_ name: String, scale: ClosedRange<Int>) -> YAML {
        [
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata(name, component: name),
            "spec": [
                "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": .text(name)],
                "minReplicas": .number(scale.lowerBound),
                "maxReplicas": .number(scale.upperBound),
                "metrics": [
                    [
                        "type": "Resource",
                        "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 70]],
                    ]
                ],
                "behavior": ["scaleDown": ["stabilizationWindowSeconds": 300]],
            ],
        ]
    }

    /// KEDA 2.14 or newer.
    func queueScaling(of workload: Workload) -> YAML {
        let source = metricsSource ?? workload
        // Without anybody who could tell that a job waits, nobody may be scaled away.
        let least = metricsSource == nil ? max(1, workload.least) : workload.least
        let triggers = workload.queues.map { queue -> YAML in
            [
                "type": "metrics-api",
                "name": .text(queue.name),
                "metadata": [
                    "url": "http://\(source.name).\(namespace).svc:\(Deployment.hostPort)/metrics",
                    "format": "prometheus",
                    "valueLocation": "\(Deployment.backlogMetric){queue=\"\(queue.name)\"}",
                    "targetValue": .remarked("as many as one process has at hand", "\(queue.capacity)"),
                    "authMode": "bearer",
                ],
                "authenticationRef": ["name": "metrics"],
            ]
        }
        return [
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata(workload.name, component: workload.name),
            "spec": [
                "scaleTargetRef": ["name": .text(workload.name)],
                "pollingInterval": 10,
                "cooldownPeriod": 300,
                "minReplicaCount": .number(least),
                "maxReplicaCount": .number(workload.scale.upperBound),
                "fallback": .remarked(
                    "While nobody tells the figures.",
                    ["failureThreshold": 3, "replicas": .number(max(1, least))]
                ),
                "triggers": .remarked(Self.triggersRemark, .list(triggers)),
            ],
        ]
    }

    private static let triggersRemark = """
        The backlog is waiting + prioritized + active + due delayed jobs of a queue that isn't paused, as /metrics tells it.
        KEDA's redis trigger has LLEN and ZCARD alone: it would count delayed jobs that aren't due and miss those that wait
        in an organisation's own line, and of several triggers the greatest counts, not their sum.
        """

    /// With what KEDA reads /metrics.
    var authentication: YAML? {
        let isUsed = deployment.workloads.contains { workload in
            !workload.hasRequests && !workload.queues.isEmpty && workload.least < workload.scale.upperBound
        }
        guard isUsed else { return nil }
        return [
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": metadata("metrics", component: "keda"),
            "spec": [
                "secretTargetRef": [
                    ["parameter": "token", "name": .text(product), "key": .text(Deployment.metricsVariable)]
                ]
            ],
        ]
    }

    func disruption(_ name: String) -> YAML {
        [
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(name, component: name),
            "spec": [
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": ["matchLabels": labels(name)],
            ],
        ]
    }
}
