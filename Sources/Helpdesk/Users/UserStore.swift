import Foundation
import Functions
import Postgres

/// The statements on one organisation's members.
struct UserStore {
    private let organisation: Organisation.ID

    init(_ organisation: Organisation.ID) {
        self.organisation = organisation
    }

    /// Lets one change of members at a time through, until the transaction ends: two admins who take each other's rights at
    /// the same instant come one after the other, and an address is invited once.
    ///
    /// Comes before every lock on a member or a ticket.
    var lockMembership: SQL {
        "SELECT 1 FROM organisations AS o WHERE o.id = \(organisation) FOR NO KEY UPDATE"
    }

    /// Locks a member and returns `name`, `role`, `status` and `has_other_admin`: whether somebody else is an active admin,
    /// which ``lockMembership`` keeps true.
    func lock(_ id: User.ID) -> SQL {
        """
        SELECT u.name, u.role, u.status,
               EXISTS (
                   SELECT FROM users AS a
                    WHERE a.org_id = u.org_id AND a.role = 'admin' AND a.status = 'active' AND a.id <> u.id
               ) AS has_other_admin
          FROM users AS u
         WHERE u.org_id = \(organisation) AND u.id = \(id)
           FOR NO KEY UPDATE OF u
        """
    }

    /// ``User/record`` of one member; no row where this organisation has no such member.
    func find(_ id: User.ID) -> SQL {
        """
        SELECT \(raw: User.record.selectList)
          FROM users AS u
         WHERE u.org_id = \(organisation) AND u.id = \(id)
        """
    }

    /// Writes what may be edited and returns ``User/record``.
    func update(_ id: User.ID, name: String, role: String) -> SQL {
        """
        UPDATE users AS u
           SET name = \(name), role = \(role), updated_at = now()
         WHERE u.org_id = \(organisation) AND u.id = \(id)
        RETURNING \(raw: User.record.selectList)
        """
    }

    /// Writes the status and returns ``User/record``.
    func setStatus(_ id: User.ID, _ status: String) -> SQL {
        """
        UPDATE users AS u
           SET status = \(status), updated_at = now()
         WHERE u.org_id = \(organisation) AND u.id = \(id)
        RETURNING \(raw: User.record.selectList)
        """
    }

    /// Gives an active member another password; of a deactivated one no row is affected.
    ///
    /// - Parameters:
    ///   - hash: the new password's.
    ///   - id: the member.
    ///   - known: of the password that the member has proved to know; with another one stored no row is affected.
    /// - Returns: the statement.
    func setPassword(_ hash: String, of id: User.ID, replacing known: String? = nil) -> SQL {
        """
        UPDATE users
           SET password_hash = \(hash), updated_at = now()
         WHERE org_id = \(organisation) AND id = \(id) AND status = 'active'
           AND password_hash = coalesce(\(known)::text, password_hash)
        """
    }

    /// Ends the sessions of a member; `except` goes on.
    func endSessions(of id: User.ID, because reason: String, except session: UUID? = nil) -> SQL {
        """
        UPDATE sessions
           SET revoked_at = now(), revoked_reason = \(reason)
         WHERE org_id = \(organisation) AND user_id = \(id) AND revoked_at IS NULL
           AND id IS DISTINCT FROM \(session)::uuid
        """
    }

    /// Takes the open and pending tickets from a member, with an event for each; as many rows are affected.
    func unassignTickets(of id: User.ID) -> SQL {
        """
        WITH mine AS MATERIALIZED (
            SELECT t.id
              FROM tickets AS t
             WHERE t.org_id = \(organisation) AND t.assignee_id = \(id) AND t.status <> 'closed'
             ORDER BY t.id
               FOR NO KEY UPDATE
        ), freed AS (
            UPDATE tickets AS t
               SET assignee_id = NULL, updated_at = now()
              FROM mine
             WHERE t.org_id = \(organisation) AND t.id = mine.id
            RETURNING t.id
        )
        INSERT INTO events (org_id, type, entity_id, ticket_id, payload)
        SELECT \(organisation)::uuid, 'ticket.updated', f.id, f.id,
               jsonb_build_object(
                   'fields', jsonb_build_array('assigneeId'),
                   'assigneeId', jsonb_build_object('from', \(id)::uuid, 'to', NULL)
               )
          FROM freed AS f
        """
    }
}
