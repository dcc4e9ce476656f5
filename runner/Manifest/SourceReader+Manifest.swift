import Yams

extension SourceReader {
    /// The whole file; `nil` only when there is nothing to go on with. What it returns counts only without ``faults``.
    func manifest() -> Manifest? {
        guard let root = root(), let top = section(root, "the file") else { return nil }
        checkKeys(
            of: top,
            "the file",
            known: ["version", "name", "variables", "defaults", "groups", "queues", "functions"]
        )
        checkVersion(top)
        let name = productName(top)
        let variables = variables(top)
        let groups = groups(top)
        let queues = queues(top)
        let world = DeclaredNames(
            variables: variables.map(\.name),
            groups: groups?.map(\.name),
            queues: queues?.map(\.name)
        )
        let defaults = top["defaults"].map { self.defaults($0.value, world) } ?? Defaults()
        let functions = functions(top, defaults, world)
        return Manifest(
            name: name,
            variables: variables,
            queues: queues ?? [],
            groups: groups ?? Self.impliedGroups,
            functions: functions
        )
    }

    /// A file without `groups` has one for each kind of trigger.
    private static let impliedGroups = Trigger.Kind.allCases.map {
        Group(name: $0.defaultGroup, scale: 1...1, doc: nil)
    }

    private func checkVersion(_ top: Section) {
        guard let entry = top["version"] else {
            fault(at: top.position, "the file has no version", hint: "its first line should be \"version: 1\"")
            return
        }
        guard let version = word(entry.value, "version"), version.text != "1" else { return }
        fault(at: version.position, "unknown version \"\(version.text)\"", hint: "this runner reads version 1")
    }

    private func productName(_ top: Section) -> String {
        guard let entry = top["name"] else {
            fault(at: top.position, "the file has no name", hint: "add \"name: \" and the product's")
            return ""
        }
        guard let name = word(entry.value, "name") else { return "" }
        checkLabel(name, "the name")
        return name.text
    }

    /// Records a name that isn't a DNS label (RFC 1123, section 2.1), in lower case only.
    private func checkLabel(_ name: Word, _ what: String) {
        guard let offset = labelFault(in: name.text) else { return }
        fault(
            at: name.position(at: offset),
            "\(what) \"\(name.text)\" must be 1 to 63 lower-case letters, digits and inner hyphens"
        )
    }

    // MARK: Variables

    private func variables(_ top: Section) -> [Variable] {
        guard let entry = top["variables"], let section = section(entry.value, "variables") else { return [] }
        return section.entries.compactMap { variable($0) }
    }

    private func variable(_ entry: Section.Entry) -> Variable? {
        let isName =
            entry.name.unicodeScalars.allSatisfy { ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "_" }
            && entry.name.unicodeScalars.first.map { ("A"..."Z").contains($0) } ?? false
        if !isName {
            fault(at: entry.position, "a variable's name must be upper-case letters, digits and underscores")
        }
        let what = "the variable \"\(entry.name)\""
        guard let section = section(entry.value, what) else { return nil }
        checkKeys(
            of: section,
            what,
            known: ["type", "default", "secret", "required", "shared", "min_length", "min", "max", "enum", "doc"]
        )
        let choices = section["enum"].flatMap { words($0.value, "enum") }?.map(\.text) ?? []
        let type = section["type"].flatMap { choice($0.value, "type", Variable.Kind.self) }
        let isSecret = section["secret"].flatMap { bool($0.value, "secret") } ?? false
        let required = section["required"].flatMap { bool($0.value, "required") }
        let standard = section["default"].flatMap { word($0.value, "default") }
        let variable = Variable(
            name: entry.name,
            kind: type ?? (choices.isEmpty ? .string : .choice),
            default: standard?.text,
            isSecret: isSecret,
            isRequired: standard == nil && required != false,
            isShared: section["shared"].flatMap { bool($0.value, "shared") } ?? false,
            minLength: section["min_length"].flatMap { integer($0.value, "min_length", in: 1...10_000) },
            minimum: section["min"].flatMap { bound($0, "min") },
            maximum: section["max"].flatMap { bound($0, "max") },
            choices: choices,
            doc: section["doc"].flatMap { word($0.value, "doc") }?.text
        )
        check(variable, section, required: required)
        return variable
    }

    private func bound(_ entry: Section.Entry, _ what: String) -> Int? {
        value(entry.value, what, is: "a whole number") { Int($0) }
    }

    /// Records what contradicts itself in a variable.
    private func check(_ variable: Variable, _ section: Section, required: Bool?) {
        let what = "\"\(variable.name)\""
        if variable.kind == .choice, variable.choices.isEmpty {
            fault(at: section.position, "the enum \(what) needs its values: enum: [...]")
        }
        if variable.kind != .choice, let entry = section["enum"] {
            fault(at: entry.position, "\(what) has an enum but is of type \(variable.kind.rawValue)")
        }
        for key in ["min", "max"] where variable.kind != .int {
            guard let entry = section[key] else { continue }
            fault(at: entry.position, "\(what) has a \(key) but isn't of type int")
        }
        if let minimum = variable.minimum, let maximum = variable.maximum, minimum > maximum, let entry = section["min"]
        {
            fault(at: entry.position, "the min of \(what) is above its max")
        }
        guard let standard = variable.default, let entry = section["default"] else { return }
        if variable.isSecret {
            fault(at: entry.position, "the secret \(what) must not have a default in this file")
        } else if let message = variable.fault(in: standard) {
            fault(at: position(of: entry.value), "the default of \(what) \(message)")
        }
        if required == true, let entry = section["required"] {
            fault(at: entry.position, "\(what) is required but has a default")
        }
    }

    // MARK: Groups and queues

    private func groups(_ top: Section) -> [Group]? {
        guard let entry = top["groups"] else { return nil }
        return section(entry.value, "groups")?.entries.compactMap { entry in
            let what = "the group \"\(entry.name)\""
            checkLabel(Word(text: entry.name, position: entry.position, style: .plain), "the group")
            guard let section = section(entry.value, what) else { return nil }
            checkKeys(of: section, what, known: ["scale", "doc"])
            return Group(
                name: entry.name,
                scale: section["scale"].flatMap { scale($0.value) } ?? 1...1,
                doc: section["doc"].flatMap { word($0.value, "doc") }?.text
            )
        }
    }

    private func scale(_ node: Node) -> ClosedRange<Int>? {
        value(node, "scale", is: "two whole numbers such as 2..20, the second at least 1 and the first") { text in
            guard let dots = text.firstRange(of: "..") else {
                return wholeNumber(text).flatMap { $0 > 0 ? $0...$0 : nil }
            }
            guard
                let least = wholeNumber(text[..<dots.lowerBound]), let most = wholeNumber(text[dots.upperBound...]),
                least <= most, most > 0
            else { return nil }
            return least...most
        }
    }

    private func queues(_ top: Section) -> [DeclaredQueue]? {
        guard let entry = top["queues"] else { return nil }
        return section(entry.value, "queues")?.entries.compactMap { entry in
            let what = "the queue \"\(entry.name)\""
            checkQueueName(Word(text: entry.name, position: entry.position, style: .plain))
            guard let section = section(entry.value, what) else { return nil }
            checkKeys(of: section, what, known: ["doc", "reserve"])
            return DeclaredQueue(
                name: entry.name,
                doc: section["doc"].flatMap { word($0.value, "doc") }?.text,
                reserve: section["reserve"].flatMap { integer($0.value, "reserve", in: 1...1_000) } ?? 1
            )
        }
    }

    /// Records a name that can't be part of a BullMQ key; true when it can.
    @discardableResult
    func checkQueueName(_ name: Word) -> Bool {
        let isAllowed = { (scalar: Unicode.Scalar) in
            scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789-_.".unicodeScalars.contains(scalar))
        }
        let offset = name.text.unicodeScalars.prefix(while: isAllowed).count
        guard name.text.isEmpty || offset < name.text.unicodeScalars.count else { return true }
        fault(
            at: name.position(at: offset),
            "the queue's name \"\(name.text)\" must be letters, digits, \"-\", \"_\" and \".\"",
            hint: name.text.contains(":") ? "\":\" separates the parts of BullMQ's keys" : nil
        )
        return false
    }
}

/// What a function may refer to; `nil` where the file declares none and anything goes.
struct DeclaredNames {
    let variables: [String]
    let groups: [String]?
    let queues: [String]?
}

/// The offset of the first Unicode scalar that a DNS label in lower case can't have there; `nil` for a good one.
func labelFault(in name: String) -> Int? {
    let scalars = Array(name.unicodeScalars)
    guard let last = scalars.last else { return 0 }
    for (offset, scalar) in scalars.enumerated() {
        let isLetterOrDigit = ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
        let isInnerHyphen = scalar == "-" && offset > 0 && scalars[offset - 1] != "-"
        if !isLetterOrDigit && !isInnerHyphen || offset == 63 { return offset }
    }
    return last == "-" ? scalars.count - 1 : nil
}
