package import Foundation
import Postgres

/// The tenant, for its id.
package enum Tenant {
    package typealias ID = Identifier<Tenant>
}

/// Who asks, as the access token or API key says and the check at the organisation's door confirms.
package struct Principal: Sendable, Equatable {
    package enum Role: String, Sendable, CaseIterable {
        case admin, agent
    }

    /// What the caller showed.
    package enum Credential: Sendable, Equatable {
        /// An access token. The session is the log-in's refresh family: when it ends, so does the token.
        case session(UUID, user: UUID)
        /// An API key, and the SHA-256 of its text.
        case apiKey(UUID, hash: [UInt8])
    }

    package let credential: Credential
    package let organisation: Tenant.ID
    package let role: Role
    /// When the access token ends, as far as that is known.
    package let expiresAt: Date?

    package init(user: UUID, organisation: Tenant.ID, role: Role, session: UUID, expiresAt: Date? = nil) {
        credential = .session(session, user: user)
        self.expiresAt = expiresAt
        self.organisation = organisation
        self.role = role
    }

    package init(_ key: APIKeyToken) {
        credential = .apiKey(key.id, hash: key.hash)
        expiresAt = nil
        organisation = key.organisation
        role = key.role
    }

    /// The user's or the API key's id.
    package var id: UUID {
        switch credential {
        case .session(_, let user): user
        case .apiKey(let key, _): key
        }
    }

    /// The member who is logged in.
    ///
    /// - Throws: ``Failure/forbidden(_:)`` for an API key, which is nobody.
    package var user: UUID {
        get throws(Failure) {
            guard case .session(_, let user) = credential else {
                throw Failure.forbidden("This is for users; an API key is none.")
            }
            return user
        }
    }

    /// The log-in that the access token belongs to.
    ///
    /// - Throws: ``Failure/forbidden(_:)`` for an API key.
    package var session: UUID {
        get throws(Failure) {
            guard case .session(let session, _) = credential else {
                throw Failure.forbidden("This is for users; an API key is none.")
            }
            return session
        }
    }

    package var actor: Origin.Actor {
        switch credential {
        case .session(_, let user): .user(user)
        case .apiKey(let key, _): .apiKey(key)
        }
    }
}

/// What caused a change, for audit entries, events, jobs and log lines.
package struct Origin: Sendable {
    package enum Actor: Sendable, Equatable {
        case user(UUID)
        case apiKey(UUID)
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
