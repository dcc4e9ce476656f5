import Functions
import Manifest

extension OpenAPIDocument {
    /// What is missing or leads nowhere.
    ///
    /// - Parameter pairs: the functions that it was made of.
    /// - Returns: a sentence for each fault; none where all is well.
    package func faults(_ pairs: [RegistryCheck.Pair]) -> [String] {
        var faults: [String] = []
        var references: Set<String> = []
        collect(json, into: &references)
        for reference in references.sorted() where find(reference) == nil {
            faults.append("\(reference) leads nowhere")
        }
        faults += clashes.sorted().map { "two records are called \($0)" }

        let operations = (json["paths"]?.members ?? []).flatMap { path in
            (path.value.members ?? []).map { (path: path.name, operation: $0.value) }
        }
        let described = Set(operations.compactMap { $0.operation["x-function"]?.string })
        for pair in pairs {
            guard case .http(let endpoint) = pair.hosted else { continue }
            let name = pair.declaration.name
            if !described.contains(name) { faults.append("\(name) is not in the document") }
            faults += endpoint.faultsOfExamples().map { "\(name): \($0)" }
            if case .other("application/json", _) = endpoint.output {
                faults.append("\(name) answers JSON of which it declares nothing")
            }
        }
        let identifiers = operations.compactMap { $0.operation["operationId"]?.string }
        for (identifier, count) in Dictionary(identifiers.map { ($0, 1) }, uniquingKeysWith: +) where count > 1 {
            faults.append("\(count) operations are called \(identifier)")
        }
        return faults
    }

    package var operationCount: Int {
        (json["paths"]?.members ?? []).reduce(0) { $0 + ($1.value.members?.count ?? 0) }
    }

    private func collect(_ json: JSON, into references: inout Set<String>) {
        switch json {
        case .array(let elements): for element in elements { collect(element, into: &references) }
        case .object(let members):
            for member in members {
                if member.name == "$ref", let reference = member.value.string { references.insert(reference) }
                collect(member.value, into: &references)
            }
        default: break
        }
    }

    /// What a reference such as `#/components/schemas/Ticket` names.
    private func find(_ reference: String) -> JSON? {
        guard reference.hasPrefix("#/") else { return nil }
        var place: JSON? = json
        for name in reference.dropFirst(2).split(separator: "/") { place = place?[String(name)] }
        return place
    }
}
