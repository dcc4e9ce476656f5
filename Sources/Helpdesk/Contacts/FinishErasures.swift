import Functions
import Logging
import Postgres

/// Takes erased people's jobs out of the queue where that was cut short, and forgets erasures whose time has passed.
///
/// `finish-erasures` in functions.yaml: every minute. Running it twice at once does no harm.
struct FinishErasures: ScheduledFunction {
    /// Seconds for whoever erases to do it themselves.
    private static let patience = 60

    func run(in context: WorkContext) async throws {
        let rows = try await context.services.postgres.query(
            "SELECT org_id, erasure_id FROM find_erasures_to_finish(make_interval(secs => \(Self.patience)::integer))"
        )
        for row in rows {
            try Task.checkCancellation()
            let scope = context.organisation(try row.get("org_id"))
            let erasure = try row.get("erasure_id", as: Erasure.ID.self)
            try await Erasure.clearQueue(of: erasure, in: scope)
            _ = try await scope.query(
                "DELETE FROM erasures WHERE org_id = \(scope.organisation) AND id = \(erasure) AND expires_at <= now()"
            )
            context.logger.notice("finished an erasure", metadata: ["erasure": "\(erasure)"])
        }
    }
}
