package import Cron

/// What the file says: every function of the product with its trigger and limits, and the settings they use.
package struct Manifest: Sendable {
    package let name: String
    /// In the order of the file, as are all lists here.
    package let variables: [Variable]
    /// Declared queues, the most urgent first; empty when the file has no `queues`, and then any name is one.
    package let queues: [DeclaredQueue]
    package let groups: [Group]
    package let functions: [FunctionDeclaration]

    /// Reads the text of a manifest.
    ///
    /// - Parameters:
    ///   - text: YAML 1.1, as libYAML reads it.
    ///   - file: the name to say in faults.
    /// - Returns: a manifest in which everything that is named exists and every default is filled in.
    /// - Throws: every fault of the file at once; of a file that isn't YAML the first one.
    package static func parse(_ text: String, file: String = "functions.yaml") throws(ManifestFaults) -> Manifest {
        let reader = SourceReader(text: text, file: file)
        guard let manifest = reader.manifest(), reader.faults.isEmpty else {
            throw ManifestFaults(faults: reader.faults.sorted { $0.position < $1.position })
        }
        return manifest
    }

    package func function(named name: String) -> FunctionDeclaration? {
        functions.first { $0.name == name }
    }

    package func group(named name: String) -> Group? {
        groups.first { $0.name == name }
    }

    /// The functions of a group, in the order of the file.
    package func functions(inGroup name: String) -> [FunctionDeclaration] {
        functions.filter { $0.group == name }
    }

    /// The variables that these functions use, in the order of the file.
    package func variables(usedBy functions: some Sequence<FunctionDeclaration>) -> [Variable] {
        let used = Set(functions.flatMap(\.uses))
        return variables.filter { used.contains($0.name) }
    }
}

/// A queue that functions may name.
package struct DeclaredQueue: Sendable, Equatable {
    package let name: String
    package let doc: String?
    /// How many calls of its workers a process always has room for.
    package var reserve = 1
}

/// Functions that share a process or a container when the product is split.
package struct Group: Sendable, Equatable {
    package let name: String
    /// How few and how many instances may run.
    package let scale: ClosedRange<Int>
    package let doc: String?
}

/// One function: what starts it, whom it is for, and how much it may take.
package struct FunctionDeclaration: Sendable, Equatable {
    /// Who may call an HTTP function.
    package enum Access: String, Sendable, CaseIterable {
        case `public`
        /// Both roles.
        case member
        case admin
    }

    /// `assign-ticket`
    package let name: String
    /// Folder and type: `Tickets/AssignTicket`.
    package let handler: String
    package let trigger: Trigger
    /// `public` for what no request starts.
    package let access: Access
    /// How long one run may take; `nil` is without end, and then ``idleTimeout`` is not `nil`.
    package let timeout: Duration?
    /// How long one run may neither read nor write anything.
    package let idleTimeout: Duration?
    /// How many may run at once in one process; `nil` is as many as come (HTTP only).
    package let concurrency: Int?
    package let bodyLimits: BodyLimits
    /// Names of the variables that it sees.
    package let uses: [String]
    package let group: String
    package let doc: String?
    /// Where its name stands.
    package let position: SourcePosition

    /// `Tickets` of `Tickets/AssignTicket`
    package var handlerFolder: Substring { handler.prefix { $0 != "/" } }
    /// `AssignTicket` of `Tickets/AssignTicket`
    package var handlerType: Substring { handler.drop { $0 != "/" }.dropFirst() }

    /// The type's name for a function's name: `AssignTicket` for `assign-ticket`.
    package static func typeName(for name: some StringProtocol) -> String {
        name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}

/// What starts a function.
package enum Trigger: Sendable, Equatable {
    case http(HTTPTrigger)
    case queue(QueueTrigger)
    case schedule(ScheduleTrigger)

    /// The key in the file.
    package enum Kind: String, Sendable, CaseIterable {
        case http, queue, schedule

        /// The group of functions that name none.
        package var defaultGroup: String {
            switch self {
            case .http: "api"
            case .queue: "workers"
            case .schedule: "scheduler"
            }
        }
    }

    package var kind: Kind {
        switch self {
        case .http: .http
        case .queue: .queue
        case .schedule: .schedule
        }
    }
}

package struct HTTPTrigger: Sendable, Equatable {
    /// HEAD and OPTIONS are answered by the host for every path.
    package enum Method: String, Sendable, CaseIterable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    package let method: Method
    package let path: PathPattern
}

package struct QueueTrigger: Sendable, Equatable {
    package let queue: String
    /// The most jobs in one call.
    package let batch: Int
    /// The most calls at once in one process.
    package let concurrency: Int
    /// How often a job may start before it has failed.
    package let attempts: Int
    /// `nil` is at once.
    package let backoff: BackoffPolicy?
}

/// How long a failed job waits for its next attempt.
package enum BackoffPolicy: Sendable, Equatable, CustomStringConvertible {
    /// `first`, twice that, four times that …, never more than `most`.
    case exponential(first: Duration, most: Duration?)
    case fixed(Duration)

    /// Reads `exponential 2s max 10m`, `exponential 2s` or `fixed 5s`.
    package init?(_ text: some StringProtocol) {
        let words = String(text).split(separator: " ")
        switch words.first {
        case "fixed" where words.count == 2:
            guard let wait = DurationText.parse(words[1]) else { return nil }
            self = .fixed(wait)
        case "exponential" where words.count == 2:
            guard let first = DurationText.parse(words[1]), first > .zero else { return nil }
            self = .exponential(first: first, most: nil)
        case "exponential" where words.count == 4 && words[2] == "max":
            guard
                let first = DurationText.parse(words[1]), first > .zero,
                let most = DurationText.parse(words[3]), first <= most
            else { return nil }
            self = .exponential(first: first, most: most)
        default:
            return nil
        }
    }

    package var description: String {
        switch self {
        case .exponential(let first, let most?):
            "exponential \(DurationText.text(first)) max \(DurationText.text(most))"
        case .exponential(let first, nil): "exponential \(DurationText.text(first))"
        case .fixed(let wait): "fixed \(DurationText.text(wait))"
        }
    }
}

package struct ScheduleTrigger: Sendable, Equatable {
    package let cron: CronExpression
    /// Name of a zone in the IANA database.
    package let timezone: String
    /// What becomes of a fire that is due while the one before still runs.
    package var overlap = Overlap.skip

    package enum Overlap: String, Sendable, CaseIterable {
        case skip, run
    }
}

/// How many bytes a request's body may have.
package struct BodyLimits: Sendable, Equatable {
    /// For every content type that ``byType`` doesn't name.
    package let standard: Int
    /// By content type, in lower case and without parameters.
    package let byType: [String: Int]

    package init(standard: Int, byType: [String: Int] = [:]) {
        self.standard = standard
        self.byType = byType
    }

    /// The limit in bytes for a request's `Content-Type`, parameters and all.
    package func limit(for contentType: String?) -> Int {
        guard !byType.isEmpty, let contentType else { return standard }
        let type = contentType.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
        return byType[type] ?? standard
    }

    /// The largest of all the limits.
    package var largest: Int { max(standard, byType.values.max() ?? 0) }
}
