import Foundation
import Functions
import Logging
import Postgres

/// Marks the invites whose time has passed, so that their tokens and addresses are looked for in vain.
///
/// `expire-invites` in functions.yaml: every quarter of an hour. Nobody can accept such an invite before that either; running
/// this twice at once does no harm.
struct ExpireInvites: ScheduledFunction {
    private static let most = 1000

    func run(in context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            "SELECT org_id, invite_id FROM find_expired_invites(\(Self.most)::integer)"
        )
        var invites: [Organisation.ID: [UUID]] = [:]
        for row in rows { try invites[row.get("org_id"), default: []].append(row.get("invite_id")) }
        for (organisation, ids) in invites {
            try Task.checkCancellation()
            let expired = try await context.organisation(organisation).query(
                """
                UPDATE invites
                   SET status = 'expired', updated_at = now()
                 WHERE org_id = \(organisation) AND id = ANY (\(ids)::uuid[]) AND status = 'pending'
                   AND expires_at <= now()
                """
            )
            context.logger.info(
                "invites expired",
                metadata: ["organisation": "\(organisation)", "invites": "\(expired.affected)"]
            )
        }
    }
}
