import Foundation

/// How the product is spread over processes where a test starts all of it: `runner/test --shape`.
package enum ProductShape: String, CaseIterable, Sendable {
    /// One process.
    case together
    /// `runner up --processes`: one for each group, behind the gateway.
    case groups
    /// `runner up --processes=function`: one for each function, behind the gateway.
    case functions
    /// `runner serve` for each group behind `runner gateway`, with PgBouncer before PostgreSQL.
    case pgbouncer

    /// That of this run; `TEST_SHAPE` names it.
    package static let current: ProductShape = {
        guard let name = ProcessInfo.processInfo.environment["TEST_SHAPE"], !name.isEmpty else { return .together }
        guard let shape = ProductShape(rawValue: name) else {
            fatalError("TEST_SHAPE=\(name) is none of \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return shape
    }()

    /// Whether one process does everything.
    package var isOneProcess: Bool { self == .together }

    /// The options of `runner up` for it.
    package var options: [String] {
        switch self {
        case .together, .pgbouncer: []
        case .groups: ["--processes"]
        case .functions: ["--processes=function"]
        }
    }

    /// How long all of it may take to start: ninety processes share the machine's two cores with other tests.
    package var patience: Duration { self == .functions ? .seconds(300) : .seconds(180) }
}
