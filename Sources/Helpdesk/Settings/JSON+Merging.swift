import Functions

extension JSON {
    /// This object with the members of `change` put over its own; `null` takes a member out.
    func merging(_ change: JSON) -> JSON {
        let changed = change.members ?? []
        let kept = (members ?? []).filter { member in !changed.contains { $0.name == member.name } }
        return .object(kept + changed.filter { $0.value != .null })
    }

    /// What differs from `old`, a member each as `<prefix>.<name>`, with `defaults` for members that aren't there.
    func changes(from old: JSON, under prefix: String, defaults: JSON = [:]) -> [AuditChange] {
        let names = Set(((members ?? []) + (old.members ?? [])).map(\.name)).sorted()
        return names.compactMap { name in
            let before = old[name] ?? defaults[name] ?? .null
            let after = self[name] ?? defaults[name] ?? .null
            return before.isSame(as: after) ? nil : AuditChange("\(prefix).\(name)", from: before, to: after)
        }
    }

    /// Equality without regard to the order of members, which PostgreSQL's `jsonb` doesn't keep.
    func isSame(as other: JSON) -> Bool {
        switch (self, other) {
        case (.object(let one), .object(let two)):
            one.count == two.count
                && one.allSatisfy { member in other[member.name].map { member.value.isSame(as: $0) } ?? false }
        case (.array(let one), .array(let two)):
            one.count == two.count && zip(one, two).allSatisfy { $0.isSame(as: $1) }
        default: self == other
        }
    }
}
