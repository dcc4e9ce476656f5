import Functions
import Logging
import Postgres

/// Adds up what has happened, by quarter hours, from the events in the order in which they were committed.
///
/// `roll-up-analytics` in functions.yaml: every few seconds. Where it stopped is stored in the transaction that adds, so each event counts
/// once however often this runs, and at how many places.
struct RollUpAnalytics: ScheduledFunction {
    /// Events in one transaction.
    static let batch = 2000

    /// Adds up the next events; answers `events`, how many.
    static func statement(_ organisation: Organisation.ID) -> SQL {
        "SELECT roll_up_events(\(organisation)::uuid, \(batch)::integer) AS events"
    }

    func run(in context: WorkContext) async throws {
        let behind = try await context.services.postgres.query("SELECT org_id FROM find_organisations_to_roll_up()")
        for row in behind {
            try Task.checkCancellation()
            let scope = context.organisation(try row.get("org_id"))
            do {
                while try await scope.query(Self.statement(scope.organisation))[0].get("events", as: Int.self)
                    == Self.batch
                {
                    try Task.checkCancellation()
                }
            } catch let error as PostgresError where !error.isUnavailable {
                // One organisation's fault keeps nobody else from being counted.
                context.logger.error(
                    "events could not be added up",
                    metadata: ["organisation": "\(scope.organisation)", "error": "\(error)"]
                )
            }
        }
    }
}
