package import Foundation
import Postgres

/// The tenant, for its id.
package enum Tenant {
    package typealias ID = Identifier<Tenant>
}

/// Who asks, as the access token says and the session check confirms.
package struct Principal: Sendable, Equatable {
    package enum Role: String, Sendable, CaseIterable {
        case admin, agent
    }

    package let user: UUID
    package let organisation: Tenant.ID
    package let role: Role
    /// The log-in's refresh family: when it ends, so does the token.
    package let session: UUID
    /// When the token ends, as far as that is known.
    package let expiresAt: Date?

    package init(user: UUID, organisation: Tenant.ID, role: Role, session: UUID, expiresAt: Date? = nil) {
        self.expiresAt = expiresAt
        self.user = user
        self.organisation = organisation
        self.role = role
        self.session = session
    }
}

/// What caused a change, for audit entries, events, jobs and log lines.
package struct Origin: Sendable {
    package enum Actor: Sendable, Equatable {
        case user(UUID)
        case system
    }

    package let actor: Actor
    package let requestId: String
    package let address: String?
    package let userAgent: String?

    package init(actor: Actor, requestId: String, address: String? = nil, userAgent: String? = nil) {
        self.actor = actor
        self.requestId = requestId
        self.address = address
        self.userAgent = userAgent
    }
}
