import Yams

extension SourceReader {
    /// The section `functions`; those with a fault that leaves nothing to go on with are missing.
    func functions(_ top: Section, _ defaults: Defaults, _ world: DeclaredNames) -> [FunctionDeclaration] {
        guard let entry = top["functions"] else {
            fault(at: top.position, "the file has no functions")
            return []
        }
        guard let section = section(entry.value, "functions") else { return [] }
        var claims = Claims()
        return section.entries.compactMap { function($0, defaults, world, &claims) }
    }

    /// What only one function may have, by where it was first claimed.
    private struct Claims {
        struct Route: Hashable {
            let method: HTTPTrigger.Method
            let shape: [PathPattern.Segment]
        }

        var routes: [Route: String] = [:]
        var queues: [String: String] = [:]
    }

    private func function(
        _ entry: Section.Entry,
        _ defaults: Defaults,
        _ world: DeclaredNames,
        _ claims: inout Claims
    ) -> FunctionDeclaration? {
        checkFunctionName(entry)
        let what = "the function \"\(entry.name)\""
        guard let section = section(entry.value, what) else { return nil }
        let kinds = triggerKinds(of: section, entry)
        checkFunctionKeys(section, what, kinds)

        let handler = handler(of: section, entry)
        let own = options(in: section, world)
        let options = own.merged(over: defaults.options(for: kinds.first))
        checkTimeout(options, section, what)
        // A surplus trigger is read for its own faults only.
        let triggers = kinds.map { trigger($0, section, options, own, world) }
        guard let kind = kinds.first, let trigger = triggers[0] else { return nil }
        claim(trigger, entry, section, &claims)
        let access = access(options, kind, entry, what)
        let group = group(options, kind, entry, what, world)
        guard let handler else { return nil }
        return FunctionDeclaration(
            name: entry.name,
            handler: handler,
            trigger: trigger,
            access: access,
            timeout: options.timeout.map { $0 == .none ? nil : $0.duration } ?? .seconds(10),
            idleTimeout: options.idleTimeout,
            concurrency: kind == .http ? options.concurrency : (kind == .queue ? options.concurrency ?? 1 : 1),
            bodyLimits: BodyLimits(standard: options.bodyLimit ?? 1 << 20, byType: options.bodyLimitsByType),
            uses: options.uses ?? [],
            group: group,
            doc: options.doc,
            position: entry.position
        )
    }

    private func checkFunctionName(_ entry: Section.Entry) {
        let word = Word(text: entry.name, position: entry.position, style: .plain)
        if let offset = labelFault(in: entry.name) {
            let hint = Self.labelled(entry.name).map { "did you mean \"\($0)\"?" }
            fault(
                at: word.position(at: offset),
                "the function's name \"\(entry.name)\" must be lower-case words joined by \"-\", at most 63 characters",
                hint: hint
            )
        } else if !entry.name.contains("-") {
            fault(
                at: entry.position,
                "the function's name \"\(entry.name)\" must be a verb and a noun",
                hint: "such as list-\(entry.name)"
            )
        }
    }

    /// `assign-ticket` for `AssignTicket`, `assignTicket` or `assign_ticket`; `nil` where that makes no name either.
    private static func labelled(_ name: String) -> String? {
        var label = ""
        for character in name {
            if character.isUppercase, !label.isEmpty, label.last != "-" { label.append("-") }
            label += character == "_" || character == " " ? "-" : character.lowercased()
        }
        return labelFault(in: label) == nil ? label : nil
    }

    /// The triggers that the function has, in their order; those after the first are faults.
    private func triggerKinds(of section: Section, _ entry: Section.Entry) -> [Trigger.Kind] {
        let triggers = section.entries.filter { Trigger.Kind(rawValue: $0.name) != nil }
        if triggers.isEmpty {
            fault(at: entry.position, "\"\(entry.name)\" has no trigger", hint: "give it one of http, queue, schedule")
        }
        for extra in triggers.dropFirst() where extra.name != triggers[0].name {
            fault(at: extra.position, "\"\(entry.name)\" has a second trigger", hint: "make it two functions")
        }
        var kinds: [Trigger.Kind] = []
        for kind in triggers.compactMap({ Trigger.Kind(rawValue: $0.name) }) where !kinds.contains(kind) {
            kinds.append(kind)
        }
        return kinds
    }

    private func checkFunctionKeys(_ section: Section, _ what: String, _ kinds: [Trigger.Kind]) {
        let always = ["handler", "doc"] + Options.common + Trigger.Kind.allCases.map(\.rawValue)
        let all = Options.keys.values.joined()
        let fitting = kinds.isEmpty ? Array(all) : kinds.flatMap { Options.keys[$0] ?? [] }
        for entry in section.entries where !always.contains(entry.name) && !fitting.contains(entry.name) {
            if all.contains(entry.name) {
                let trigger = kinds.map(\.rawValue).joined(separator: " and ")
                fault(at: entry.position, "\"\(entry.name)\" means nothing for a function with the trigger \(trigger)")
            } else {
                let hint = Suggestion.hint(for: entry.name, among: always + fitting)
                fault(at: entry.position, "unknown key \"\(entry.name)\" in \(what)", hint: hint)
            }
        }
    }

    private func handler(of section: Section, _ entry: Section.Entry) -> String? {
        let type = FunctionDeclaration.typeName(for: Self.labelled(entry.name) ?? entry.name)
        guard let value = section["handler"]?.value else {
            fault(
                at: entry.position,
                "\"\(entry.name)\" has no handler",
                hint: "it should be its folder and type: …/\(type)"
            )
            return nil
        }
        guard let handler = word(value, "handler") else { return nil }
        let parts = handler.text.split(separator: "/", omittingEmptySubsequences: false)
        let isTypeName = { (part: Substring) in
            part.first.map { $0.isASCII && $0.isUppercase } ?? false
                && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        }
        guard parts.count == 2, parts.allSatisfy(isTypeName) else {
            fault(
                at: handler.position,
                "handler must be a folder and a type such as Tickets/\(type), not \"\(handler.text)\""
            )
            return nil
        }
        guard parts[1] == type else {
            fault(
                at: handler.position(at: parts[0].count + 1),
                "the handler of \"\(entry.name)\" must be the type \(type), not \(parts[1])"
            )
            return nil
        }
        return handler.text
    }

    private func checkTimeout(_ options: Options, _ section: Section, _ what: String) {
        guard options.timeout == Options.Timeout.none, options.idleTimeout == nil else { return }
        fault(
            at: options.timeoutPosition ?? section.position,
            "\(what) has no timeout and no idle_timeout",
            hint: "give it an idle_timeout such as 1m"
        )
    }

    private func access(
        _ options: Options,
        _ kind: Trigger.Kind,
        _ entry: Section.Entry,
        _ what: String
    ) -> FunctionDeclaration.Access {
        if kind == .http, options.access == nil, (entry.value.mapping?["access"]) == nil {
            fault(
                at: entry.position,
                "\(what) has no access",
                hint: "give it one of public, member, admin, or defaults.http"
            )
        }
        return kind == .http ? options.access ?? .admin : .public
    }

    private func group(
        _ options: Options,
        _ kind: Trigger.Kind,
        _ entry: Section.Entry,
        _ what: String,
        _ world: DeclaredNames
    ) -> String {
        if let group = options.group { return group }
        let group = kind.defaultGroup
        // One whose own `group` is wrong has been told so already.
        if let groups = world.groups, !groups.contains(group), entry.value.mapping?["group"] == nil {
            fault(at: entry.position, "\(what) belongs to the group \"\(group)\", which isn't declared")
        }
        return group
    }

    /// Records a route or queue that another function has already.
    private func claim(_ trigger: Trigger, _ entry: Section.Entry, _ section: Section, _ claims: inout Claims) {
        let position = section[trigger.kind.rawValue].map { self.position(of: $0.value) } ?? entry.position
        switch trigger {
        case .http(let http):
            let route = Claims.Route(method: http.method, shape: http.path.shape)
            if let other = claims.routes.updateValue(entry.name, forKey: route), other != entry.name {
                fault(at: position, "\(http.method.rawValue) \(http.path) is the same route as that of \"\(other)\"")
            }
        case .queue(let queue):
            if let other = claims.queues.updateValue(entry.name, forKey: queue.queue), other != entry.name {
                fault(
                    at: position,
                    "the queue \"\(queue.queue)\" is worked by \"\(other)\" already",
                    hint: "give it a queue of its own"
                )
            }
        case .schedule:
            break
        }
    }
}

extension Options.Timeout {
    fileprivate var duration: Duration? {
        guard case .after(let duration) = self else { return nil }
        return duration
    }
}
