import Yams

/// What may be said of a function, in `defaults` or at the function itself; `nil` where nothing was.
struct Options {
    enum Timeout: Equatable {
        case none
        case after(Duration)
    }

    var access: FunctionDeclaration.Access?
    var timeout: Timeout?
    /// Where the timeout stands.
    var timeoutPosition: SourcePosition?
    var idleTimeout: Duration?
    var concurrency: Int?
    var bodyLimit: Int?
    var bodyLimitsByType: [String: Int] = [:]
    var batch: Int?
    var attempts: Int?
    /// `.some(nil)` is `backoff: none`.
    var backoff: BackoffPolicy??
    var timezone: String?
    var overlap: ScheduleTrigger.Overlap?
    var uses: [String]?
    var group: String?
    var parameters: [String: PathPattern.ParameterType] = [:]
    var doc: String?

    /// These over those: a list replaces, a mapping merges.
    func merged(over base: Options) -> Options {
        var merged = base
        merged.access = access ?? base.access
        merged.timeout = timeout ?? base.timeout
        merged.timeoutPosition = timeoutPosition ?? base.timeoutPosition
        merged.idleTimeout = idleTimeout ?? base.idleTimeout
        merged.concurrency = concurrency ?? base.concurrency
        merged.bodyLimit = bodyLimit ?? base.bodyLimit
        merged.bodyLimitsByType.merge(bodyLimitsByType) { $1 }
        merged.batch = batch ?? base.batch
        merged.attempts = attempts ?? base.attempts
        merged.backoff = backoff ?? base.backoff
        merged.timezone = timezone ?? base.timezone
        merged.overlap = overlap ?? base.overlap
        merged.uses = uses ?? base.uses
        merged.group = group ?? base.group
        merged.parameters.merge(parameters) { $1 }
        merged.doc = doc ?? base.doc
        return merged
    }

    /// Keys for every kind of trigger.
    static let common = ["timeout", "idle_timeout", "uses", "group"]
    static let keys: [Trigger.Kind: [String]] = [
        .http: ["access", "body_limit", "concurrency", "params"],
        .queue: ["batch", "concurrency", "attempts", "backoff"],
        .schedule: ["timezone", "overlap"],
    ]
}

/// The section `defaults`: what goes for every function, and for those of one kind of trigger.
struct Defaults {
    var common = Options()
    var byKind: [Trigger.Kind: Options] = [:]

    /// What goes for functions of that kind.
    func options(for kind: Trigger.Kind?) -> Options {
        kind.flatMap { byKind[$0] }?.merged(over: common) ?? common
    }
}

extension SourceReader {
    func defaults(_ node: Node, _ world: DeclaredNames) -> Defaults {
        guard let section = section(node, "defaults") else { return Defaults() }
        let kinds = Trigger.Kind.allCases
        checkKeys(of: section, "defaults", known: Options.common + ["params"] + kinds.map(\.rawValue))
        var defaults = Defaults(common: options(in: section, world))
        for kind in kinds {
            guard let entry = section[kind.rawValue] else { continue }
            let what = "defaults.\(kind.rawValue)"
            guard let section = self.section(entry.value, what) else { continue }
            checkKeys(of: section, what, known: Options.common + (Options.keys[kind] ?? []))
            defaults.byKind[kind] = options(in: section, world)
        }
        return defaults
    }

    /// Every option that the section has, whatever the trigger.
    func options(in section: Section, _ world: DeclaredNames) -> Options {
        var options = Options()
        func read<Value>(_ key: String, _ body: (Node) -> Value?) -> Value? {
            section[key].flatMap { body($0.value) }
        }
        options.access = read("access") { choice($0, "access", FunctionDeclaration.Access.self) }
        options.timeout = read("timeout") { timeout($0) }
        options.timeoutPosition = section["timeout"].map { position(of: $0.value) }
        options.idleTimeout = read("idle_timeout") { duration($0, "idle_timeout") }
        options.concurrency = read("concurrency") { integer($0, "concurrency", in: 1...10_000) }
        if let entry = section["body_limit"] { readBodyLimit(entry.value, into: &options) }
        options.batch = read("batch") { integer($0, "batch", in: 1...10_000) }
        options.attempts = read("attempts") { integer($0, "attempts", in: 1...1_000) }
        options.backoff = read("backoff") { backoff($0) }
        options.timezone = read("timezone") { timezone($0) }
        options.overlap = read("overlap") { choice($0, "overlap", ScheduleTrigger.Overlap.self) }
        options.uses = read("uses") { uses($0, world) }
        options.group = read("group") { group($0, world) }
        if let entry = section["params"] { options.parameters = parameters(entry.value) }
        options.doc = read("doc") { word($0, "doc")?.text }
        return options
    }

    private func timeout(_ node: Node) -> Options.Timeout? {
        value(node, "timeout", is: "a duration above zero \(DurationText.example), or none") { text in
            if text == "none" { return Options.Timeout.none }
            return DurationText.parse(text).flatMap { $0 > .zero ? .after($0) : nil }
        }
    }

    private func duration(_ node: Node, _ what: String) -> Duration? {
        value(node, what, is: "a duration above zero \(DurationText.example)") { text in
            DurationText.parse(text).flatMap { $0 > .zero ? $0 : nil }
        }
    }

    private func readBodyLimit(_ node: Node, into options: inout Options) {
        func size(_ node: Node) -> Int? {
            value(node, "body_limit", is: "a size \(SizeText.example)") { SizeText.parse($0) }
        }
        guard node.mapping != nil, let section = section(node, "body_limit") else {
            options.bodyLimit = size(node)
            return
        }
        for entry in section.entries {
            let limit = size(entry.value)
            if entry.name == "default" {
                options.bodyLimit = limit
            } else if entry.name.split(separator: "/", omittingEmptySubsequences: false).count == 2 {
                options.bodyLimitsByType[entry.name.lowercased()] = limit
            } else {
                fault(at: entry.position, "\"\(entry.name)\" is neither a content type nor \"default\"")
            }
        }
    }

    private func backoff(_ node: Node) -> BackoffPolicy?? {
        value(node, "backoff", is: "such as \"exponential 2s max 10m\", \"fixed 5s\" or none") { text in
            text == "none" ? .some(nil) : BackoffPolicy(text).map { .some($0) }
        }
    }

    private func timezone(_ node: Node) -> String? {
        guard let zone = word(node, "timezone") else { return nil }
        if ScheduleTrigger.knows(zone: zone.text) { return zone.text }
        fault(
            at: zone.position,
            "unknown time zone \"\(zone.text)\"",
            hint: ScheduleTrigger.nearestZone(to: zone.text)
                ?? "it must be a name of the IANA database such as Europe/Berlin"
        )
        return nil
    }

    private func uses(_ node: Node, _ world: DeclaredNames) -> [String]? {
        guard let words = words(node, "uses") else { return nil }
        var names: [String] = []
        for word in words {
            if !world.variables.contains(word.text) {
                fault(
                    at: word.position,
                    "unknown variable \"\(word.text)\"",
                    hint: Suggestion.hint(for: word.text, among: world.variables)
                )
            } else if names.contains(word.text) {
                fault(at: word.position, "\"\(word.text)\" is in uses twice")
            } else {
                names.append(word.text)
            }
        }
        return names
    }

    private func group(_ node: Node, _ world: DeclaredNames) -> String? {
        guard let group = word(node, "group") else { return nil }
        let known = world.groups ?? Trigger.Kind.allCases.map(\.defaultGroup)
        if known.contains(group.text) { return group.text }
        fault(
            at: group.position,
            "unknown group \"\(group.text)\"",
            hint: Suggestion.hint(for: group.text, among: known) ?? "known are \(known.joined(separator: ", "))"
        )
        return nil
    }

    private func parameters(_ node: Node) -> [String: PathPattern.ParameterType] {
        guard let section = section(node, "params") else { return [:] }
        var parameters: [String: PathPattern.ParameterType] = [:]
        for entry in section.entries {
            if !PathPattern.isParameterName(entry.name) {
                fault(at: entry.position, "the parameter \"\(entry.name)\" must be a letter, then letters and digits")
            }
            // One whose type is wrong still counts as declared, so that the fault is told once.
            parameters[entry.name] =
                choice(entry.value, "a parameter's type", PathPattern.ParameterType.self) ?? .string
        }
        return parameters
    }
}
