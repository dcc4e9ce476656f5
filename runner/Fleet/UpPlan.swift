/// The flags of `runner up`.
package struct UpOptions: Sendable, Equatable {
    package var port: Int?
    /// Functions or groups to run, by name; empty means all.
    package var only: [String] = []
    /// Begin with empty private servers.
    package var fresh = false
    /// Answers the question of `fresh`.
    package var yes = false
    /// Demo data even where the database is not private.
    package var seed = false
    package var release = false
    package var watch = true
    /// The private servers alone, without a host.
    package var engines = false
    package var shape = UpPlan.Shape.together

    package init() {}
}

/// What `runner up` is going to do, decided from its flags and the environment before anything is touched.
package struct UpPlan: Sendable, Equatable {
    package enum Database: Sendable, Equatable {
        case ours
        /// `owner` falls back to the application's URL, for a database with a single role.
        case given(url: String, owner: String)
    }

    package enum Queue: Sendable, Equatable {
        case ours
        case given(url: String)
    }

    /// How the functions are spread over processes.
    package enum Shape: Sendable, Equatable {
        case together
        case perGroup
        case perFunction
    }

    package enum Wipe: Sendable, Equatable {
        case nothing
        case afterAsking
        case withoutAsking
    }

    package let database: Database
    package let queue: Queue
    package let port: Int
    package let only: [String]
    package let shape: Shape
    package let wipe: Wipe
    package let seeds: Bool
    package let isRelease: Bool
    /// Whether the host is replaced when the sources or functions.yaml change.
    package let watches: Bool
    /// Whether anything is hosted, or the private servers run alone.
    package let hosts: Bool
    /// What the user should know before it starts.
    package let remarks: [String]

    /// Decides; flags win over the environment.
    ///
    /// - Throws: ``FleetError`` when a flag contradicts another or the environment.
    package init(_ options: UpOptions, environment: [String: String]) throws(FleetError) {
        func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

        if let url = given("DATABASE_URL") {
            database = .given(url: url, owner: given("DATABASE_OWNER_URL") ?? url)
        } else if given("DATABASE_OWNER_URL") != nil {
            throw FleetError("DATABASE_OWNER_URL is set without DATABASE_URL", remedy: "set both or neither")
        } else {
            database = .ours
        }
        queue = given("REDIS_URL").map(Queue.given(url:)) ?? .ours

        if let port = options.port {
            guard (1...65535).contains(port) else { throw FleetError("--port \(port) is not a port (1 to 65535)") }
            self.port = port
        } else if let text = given("PORT") {
            guard let port = Int(text), (1...65535).contains(port) else {
                throw FleetError("PORT=\(text) is not a port (1 to 65535)")
            }
            self.port = port
        } else {
            port = 3000
        }

        if options.fresh, database != .ours, queue != .ours {
            throw FleetError(
                "--fresh empties the private servers, and DATABASE_URL and REDIS_URL name others",
                remedy: "use `runner db reset` for the database"
            )
        }
        if options.engines, database != .ours, queue != .ours {
            throw FleetError(
                "--engines starts the private servers alone, and DATABASE_URL and REDIS_URL name others",
                remedy: "unset the one that is to be private"
            )
        }
        if options.engines, !options.only.isEmpty {
            throw FleetError("--engines hosts nothing, and --only says what to host", remedy: "leave one of them out")
        }
        if options.engines, options.shape != .together {
            throw FleetError("--engines hosts nothing, and --processes says how", remedy: "leave one of them out")
        }
        shape = options.shape
        hosts = !options.engines
        wipe = options.fresh ? (options.yes ? .withoutAsking : .afterAsking) : .nothing
        only = options.only
        seeds = options.seed || (database == .ours && !options.engines)
        isRelease = options.release
        watches = options.watch && hosts

        var remarks: [String] = []
        if database != .ours, queue == .ours {
            remarks.append("DATABASE_URL is given and REDIS_URL is not: jobs lie in the private Redis")
        }
        if options.fresh, database != .ours { remarks.append("--fresh leaves the database of DATABASE_URL alone") }
        if options.fresh, queue != .ours { remarks.append("--fresh leaves the Redis of REDIS_URL alone") }
        if database != .ours, options.shape == .perFunction {
            remarks.append(
                "each process has connections of its own: the server of DATABASE_URL needs several hundred of them"
            )
        }
        self.remarks = remarks
    }
}
