import Foundation
import Functions
import Postgres
import Security

/// One field of an audited change. Secrets are never among the values; ``secret(_:)`` tells of one that it changed.
struct AuditChange: Sendable, Equatable {
    let field: String
    let from: JSON
    let to: JSON

    init(_ field: String, from: JSON, to: JSON) {
        self.field = field
        self.from = from
        self.to = to
    }

    /// That a secret became another one, without a character of either.
    static func secret(_ field: String) -> AuditChange {
        AuditChange(field, from: "••••", to: "••••")
    }
}

extension Transaction {
    /// Records who made the change at hand, from where and by which request, as ``Transaction/origin`` says.
    ///
    /// The statement runs in the transaction of the change that it tells of, so neither is there without the other.
    ///
    /// - Parameters:
    ///   - action: `<entity>.<verb>`, from the contract's list; the part before the dot becomes the entity's type.
    ///   - entityId: what was changed.
    ///   - changes: each field with its value before and after, in the order in which they are shown.
    /// - Returns: the statement of one audit entry.
    func auditing(_ action: String, _ entityId: UUID, changes: [AuditChange] = []) -> SQL {
        let members = changes.map { JSON.Member($0.field, ["from": $0.from, "to": $0.to]) }
        let actor: (type: String, id: UUID?) =
            switch origin.actor {
            case .user(let id): ("user", id)
            case .apiKey(let id): ("api_key", id)
            case .system: ("system", nil)
            }
        // A browser's is a few hundred characters; a header may be of any length.
        let userAgent = origin.userAgent.map { String($0.unicodeScalars.prefix(512)) }
        let requestId = origin.requestId.isEmpty ? nil : origin.requestId
        let names: SQL = if case .apiKey = origin.actor { "api_keys" } else { "users" }
        return """
            INSERT INTO audit
                   (org_id, id, actor_type, actor_id, actor_name, action, entity_type, entity_id, changes,
                    ip, user_agent, request_id)
            VALUES (\(organisation), \(UUID.v7()), \(actor.type), \(actor.id),
                    (SELECT name FROM \(raw: names) WHERE org_id = \(organisation) AND id = \(actor.id)),
                    \(action)::text, split_part(\(action)::text, '.', 1), \(entityId), \(JSON.object(members).text)::jsonb,
                    \(origin.address), \(userAgent), \(requestId))
            """
    }
}
