import Manifest

/// What is different in a container: nothing on its disk outlives it, and nobody at its console is the operator.
enum Container {
    /// The image says so.
    static let variable = "RUNNER_CONTAINER"

    static func isAround(_ environment: [String: String]) -> Bool { environment[variable] == "1" }

    /// What would lie in this container alone though other processes look for it, each as a sentence without a secret.
    static func faults(_ variables: [Variable], _ settings: Settings) -> [String] {
        variables.filter(\.isShared).compactMap { variable in
            guard let value = settings[variable.name] else {
                return "\(variable.name) is not set, and in a container nothing stands in for it: \(variable.doc ?? "")"
            }
            guard value.hasPrefix("file:"), !value.hasPrefix("file:/") else { return nil }
            return "\(variable.name) names a folder of this container; it must be file:/ with a path that is shared"
        }
    }
}
