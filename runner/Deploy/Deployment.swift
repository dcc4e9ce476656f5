package import Manifest

/// What is to run elsewhere, and how it is called there.
package struct Deployment: Sendable {
    /// The product's name, which labels and secrets have.
    package let product: String
    package let workloads: [Workload]
    /// What the gateway sees.
    let gatewayVariables: [Variable]
    /// The image of every container.
    let image: String
    /// Values of settings, checked; secrets are never among them.
    let settings: [String: String]
    /// The hosts that requests name; the first one is in links.
    let domains: [String]

    /// - Parameters:
    ///   - manifest: functions.yaml.
    ///   - perFunction: a container for each function instead of each group.
    ///   - image: with its tag.
    ///   - domains: in the order of their rank; none where that isn't known.
    ///   - settings: values of variables that are no secrets.
    /// - Throws: ``DeployFault`` for a setting that is unknown, a secret, or malformed.
    package init(
        _ manifest: Manifest,
        perFunction: Bool,
        image: String,
        domains: [String] = [],
        settings: [String: String] = [:]
    ) throws(DeployFault) {
        product = manifest.name
        gatewayVariables = manifest.variables.filter { Self.gatewayReads.contains($0.name) }
        workloads = try Workload.all(of: manifest, perFunction: perFunction)
        self.image = image
        self.domains = domains
        var values = ["TRUSTED_PROXIES": Self.privateNetworks]
        if let domain = domains.first { values["PUBLIC_URL"] = "https://\(domain)" }
        values.merge(settings) { _, given in given }
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            guard let variable = manifest.variables.first(where: { $0.name == name }) else {
                guard settings[name] != nil else {
                    values[name] = nil  // a product without that setting
                    continue
                }
                throw DeployFault("functions.yaml has no variable \(name)")
            }
            guard !variable.isSecret else {
                throw DeployFault("\(name) is a secret, which no file of a deployment holds")
            }
            if let fault = variable.fault(in: value) { throw DeployFault("\(name) \(fault)") }
        }
        let visible = workloads.flatMap(\.variables)
        if let lacking = visible.first(where: { $0.isRequired && !$0.isSecret && values[$0.name] == nil }) {
            throw DeployFault("\(lacking.name) needs a value; give it with --set \(lacking.name)=…")
        }
        self.settings = values
    }

    /// Where gateways may be: who comes from there is believed to say whose request it passes on. Nobody else can reach the
    /// hosts.
    private static let privateNetworks = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fd00::/8"

    static let ownerVariable = Manifest.ownerVariable
    /// With it another machine may read /metrics.
    static let metricsVariable = "METRICS_TOKEN"
    /// What /metrics calls the jobs of a queue that want a worker.
    static let backlogMetric = "delightchat_queue_backlog"
    private static let gatewayReads: Set<String> = [
        "LOG_LEVEL", "LOG_FORMAT", "NODE_ENV", metricsVariable, "CORS_ORIGINS", "TRUSTED_PROXIES",
    ]
    static let hostPort = 3000
    static let gatewayPort = 8080

    /// What of ``settings`` a process sees, in the order of functions.yaml.
    func settings(of variables: [Variable]) -> [(name: String, value: String)] {
        variables.compactMap { variable in settings[variable.name].map { (variable.name, $0) } }
    }

    /// What a host is told.
    func arguments(of workload: Workload) -> [String] {
        workload.arguments + ["--address", "0.0.0.0", "--port", "\(Self.hostPort)"]
            + (workload.hasRequests ? ["--behind-gateway"] : [])
    }

    /// What the gateway is told; it leads requests to everything that answers any.
    var gatewayArguments: [String] {
        ["gateway", "--address", "0.0.0.0", "--port", "\(Self.gatewayPort)"]
            + workloads.filter(\.hasRequests).flatMap { workload in
                ["--upstream", "\(workload.name)=http://\(workload.name):\(Self.hostPort)"]
            }
    }

    /// How many seconds the gateway may need to end: as long as the slowest of those behind it.
    var gatewayDrain: Int { (workloads.filter(\.hasRequests).map(\.drain).max() ?? 15) + 5 }
}
