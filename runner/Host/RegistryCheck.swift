package import Functions
package import Manifest

/// Compares functions.yaml with the functions that the product has, both ways.
package enum RegistryCheck {
    /// A function that both know, as declared and as written.
    package struct Pair: Sendable {
        package let declaration: FunctionDeclaration
        package let hosted: HostedFunction
    }

    /// - Returns: the pairs, and a sentence for everything that doesn't fit, with the line in functions.yaml it is about.
    package static func compare(
        _ manifest: Manifest,
        _ registry: [any Function.Type]
    ) -> (pairs: [Pair], faults: [(line: Int?, message: String)]) {
        var faults: [(line: Int?, message: String)] = []
        var known: [String: any Function.Type] = [:]
        for type in registry {
            if known.updateValue(type, forKey: type.name) != nil {
                faults.append((nil, "\(type) is listed twice in Registry.swift"))
            }
        }
        var pairs: [Pair] = []
        for declaration in manifest.functions {
            let line = declaration.position.line
            guard let type = known.removeValue(forKey: declaration.name) else {
                faults.append((line, "\"\(declaration.name)\" has no type in Registry.swift"))
                continue
            }
            let hosted = type.hosted
            if hosted.trigger != declaration.trigger.kind.rawValue {
                faults.append(
                    (
                        line,
                        "\"\(declaration.name)\" is triggered by \(declaration.trigger.kind.rawValue), its type by \(hosted.trigger)"
                    )
                )
                continue
            }
            faults += mismatches(declaration, hosted).map { (line, "\"\(declaration.name)\": \($0)") }
            pairs.append(Pair(declaration: declaration, hosted: hosted))
        }
        for name in known.keys.sorted() {
            faults.append((nil, "\"\(name)\" is in Registry.swift but not in functions.yaml"))
        }
        return (pairs, faults)
    }

    private static func mismatches(_ declaration: FunctionDeclaration, _ hosted: HostedFunction) -> [String] {
        switch (hosted, declaration.trigger) {
        case (.http(let endpoint), .http(let trigger)):
            let inRoute = Set(trigger.path.parameters)
            let inShape = Set(endpoint.input.path.map(\.name))
            return inShape.subtracting(inRoute).sorted().map { "reads :\($0), which its path lacks" }
                + inRoute.subtracting(inShape).subtracting(["orgId"]).sorted().map { "doesn't read :\($0) of its path" }
                + endpoint.faultsOfExamples()
        case (.queue(let worker), .queue(let trigger)):
            return
                (trigger.batch > 1 && !worker.isBatched
                ? ["takes one job at a time, but has batch: \(trigger.batch)"] : [])
                + worker.faultsOfExamples()
        default:
            return []
        }
    }
}
