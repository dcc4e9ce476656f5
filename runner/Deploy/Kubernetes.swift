import Manifest

/// A deployment as objects of Kubernetes (1.30 or newer), of the Gateway API and, for the workers, of KEDA.
///
/// Secrets are named, never held: the Secret `PRODUCT` has what hosts use, `PRODUCT-owner` the owner's address of the
/// database for the migration alone.
package struct Kubernetes: Sendable {
    let deployment: Deployment
    let namespace: String
    /// The Gateway (of the Gateway API) through which requests come in.
    let entrance: (namespace: String, name: String)

    package init(_ deployment: Deployment, namespace: String, entrance: (namespace: String, name: String)) {
        self.deployment = deployment
        self.namespace = namespace
        self.entrance = entrance
    }

    var product: String { deployment.product }

    /// In the order in which `kubectl apply -f` takes them.
    package var files: [DeployFile] {
        let form = "kubernetes"
        var files = [
            DeployFile(path: "00-namespace.yaml", form: form, remark: secretsRemark, [namespaceObject]),
            DeployFile(path: "10-migrate.yaml", form: form, remark: Self.migrationRemark, [migration]),
            DeployFile(path: "20-network.yaml", form: form, policies),
            DeployFile(path: "30-gateway.yaml", form: form, gateway),
        ]
        if let authentication { files.append(DeployFile(path: "30-keda.yaml", form: form, [authentication])) }
        for workload in deployment.workloads {
            var objects = [hosts(of: workload)]
            objects += service(of: workload) + disruption(of: workload) + scaling(of: workload)
            files.append(DeployFile(path: "40-\(workload.name).yaml", form: form, objects))
        }
        return files
    }

    // MARK: Namespace and migration

    private var secretsRemark: String {
        let secrets = deployment.workloads.flatMap(\.secrets)
        var needed: [String] = []
        var optional: [String] = []
        for secret in secrets where !(needed + optional).contains(secret.name) {
            if isNeeded(secret) { needed.append(secret.name) } else { optional.append(secret.name) }
        }
        return """
            Before the first use, with the secrets' values in files NAME=value:
              kubectl create secret generic \(product) -n \(namespace) --from-env-file=FILE
              kubectl create secret generic \(product)-owner -n \(namespace) --from-env-file=FILE
            The first holds \(needed.joined(separator: ", "))\(optional.isEmpty ? "" : " and, where wanted, " + optional.joined(separator: ", ")).
            The second holds \(Deployment.ownerVariable).
            """
    }

    private var namespaceObject: YAML {
        [
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": [
                "name": .text(namespace),
                "labels": ["pod-security.kubernetes.io/enforce": "restricted"],
            ],
        ]
    }

    private static let migrationRemark = """
        A Job can't be changed, so its name follows the image's tag: a new image comes with a new Job.
        Hosts of the new image aren't ready before it has run; those of the old one serve meanwhile.
        """

    private var migration: YAML {
        let owner: YAML = [
            "name": .text(Deployment.ownerVariable),
            "valueFrom": ["secretKeyRef": ["name": "\(product)-owner", "key": .text(Deployment.ownerVariable)]],
        ]
        return [
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata("migrate-\(tag)", component: "migrate"),
            "spec": [
                "backoffLimit": 5,
                "activeDeadlineSeconds": 3600,
                "ttlSecondsAfterFinished": 86400,
                "template": [
                    "metadata": ["labels": labels("migrate")],
                    "spec": pod(
                        Container(arguments: ["db", "migrate"], environment: [owner], port: nil),
                        grace: 30,
                        restart: "Never"
                    ),
                ],
            ],
        ]
    }

    /// The image's tag as part of an object's name.
    private var tag: String {
        let name = deployment.image.split(separator: "/").last ?? ""
        let tag = name.split(separator: ":").dropFirst().first ?? "latest"
        let letters = tag.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let text = String(letters.prefix(40))
        return String(text.drop { $0 == "-" }.reversed().drop { $0 == "-" }.reversed())
    }

    // MARK: Hosts

    private func hosts(of workload: Workload) -> YAML {
        pods(
            workload.name,
            Container(
                arguments: deployment.arguments(of: workload),
                environment: environment(workload.variables),
                port: Deployment.hostPort,
                takesRequests: workload.hasRequests
            ),
            scale: workload.least...max(workload.least, workload.scale.upperBound),
            grace: workload.drain + (workload.hasRequests ? Self.farewell : 0)
        )
    }

    /// Whether a pod that sees the secret can't start without it; KEDA, too, reads /metrics by its token.
    func isNeeded(_ secret: Variable) -> Bool {
        secret.isRequired || secret.isShared || secret.name == Deployment.metricsVariable && authentication != nil
    }

    /// Only for what is called: by the gateway, or by KEDA.
    private func service(of workload: Workload) -> [YAML] {
        guard workload.hasRequests || workload.name == metricsSource?.name else { return [] }
        return [service(workload.name, port: Deployment.hostPort)]
    }

    private func scaling(of workload: Workload) -> [YAML] {
        guard workload.least < workload.scale.upperBound else { return [] }
        if workload.hasRequests {
            return [processorScaling(workload.name, scale: workload.least...workload.scale.upperBound)]
        }
        return workload.queues.isEmpty ? [] : [queueScaling(of: workload)]
    }

    private func disruption(of workload: Workload) -> [YAML] {
        workload.scale.upperBound > 1 ? [disruption(workload.name)] : []
    }

    // MARK: The gateway

    private static let gatewayScale = 2...10

    private var gateway: [YAML] {
        [
            pods(
                "gateway",
                Container(
                    arguments: deployment.gatewayArguments,
                    environment: environment(deployment.gatewayVariables),
                    port: Deployment.gatewayPort,
                    takesRequests: true
                ),
                scale: Self.gatewayScale,
                grace: deployment.gatewayDrain + Self.farewell
            ),
            service("gateway", port: Deployment.gatewayPort),
            disruption("gateway"),
            processorScaling("gateway", scale: Self.gatewayScale),
            route,
        ]
    }

    /// The fields are those of the Gateway API's standard channel, 1.2 or newer.
    private var route: YAML {
        [
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata("gateway", component: "gateway"),
            "spec": [
                "parentRefs": [["name": .text(entrance.name), "namespace": .text(entrance.namespace)]],
                "hostnames": deployment.domains.isEmpty ? nil : .list(deployment.domains.map { .text($0) }),
                "rules": [
                    [
                        "backendRefs": [["name": "gateway", "port": .number(Deployment.gatewayPort)]],
                        "timeouts": .remarked(
                            "Ours end every request in time; events are streamed for as long as somebody listens.",
                            ["request": "0s"]
                        ),
                    ]
                ],
            ],
        ]
    }
}
